-- check_keys did not look at each, nor at any call while a loop was open on the shard.

local fixture = require "spec.support.fixture"

describe("regression 015:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("check_keys looks at each, and while a loop is open", function()
    local db = fixture.database("CREATE TABLE t (k TEXT PRIMARY KEY, v)", { check_keys = true }, { "a" })
    db:insert("a", "INSERT INTO t VALUES ('a', 1)")
    fixture.raises("USAGE", "check_keys", function()
      for _ in db:each("zz", "UPDATE t SET v = 3 RETURNING k") do assert.is_not_nil(db) end
    end)
    for _ in db:each("a", "SELECT * FROM t") do
      fixture.raises("USAGE", "check_keys", db.run, db, "zz", "UPDATE t SET v = 3")
    end
    assert.equal(1, db:first("a", "SELECT v FROM t").v)
  end)
end)
