-- check_keys looked at the wrong column behind a virtual generated one.

local fixture = require "spec.support.fixture"

describe("regression 025:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("check_keys finds the key behind a virtual column", function()
    local schema = "CREATE TABLE t (early AS (n || '!'), n INTEGER, id TEXT PRIMARY KEY)"
    local db = fixture.database(schema, { check_keys = true }, { "a" })
    db:insert("y", "INSERT INTO t (n, id) VALUES (1, 'y')")
    fixture.raises("USAGE", "check_keys", db.run, db, "x", "UPDATE t SET n = 2 WHERE id = 'y'")
  end)
end)
