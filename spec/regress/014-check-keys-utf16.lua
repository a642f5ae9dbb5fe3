-- check_keys took the key of a UTF-16 database for another one.

local fixture = require "spec.support.fixture"

describe("regression 014:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("check_keys reads UTF-16", function()
    fixture.sqlite("a.db", [[PRAGMA encoding = 'UTF-16'; CREATE TABLE t (k TEXT PRIMARY KEY, v);
      INSERT INTO t VALUES ('a', 1)]])
    local db = fixture.open(fixture.config({ check_keys = true }, { "a" }))
    assert.equal(1, db:run("a", "UPDATE t SET v = 2 WHERE k = 'a'").meta.changes)
  end)
end)
