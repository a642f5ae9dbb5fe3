-- VACUUM could not run, because it attaches a file of its own and a shard allowed none.

local fixture = require "spec.support.fixture"

describe("regression 027:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a shard can be vacuumed, and still attaches nothing", function()
    local db = fixture.database("CREATE TABLE t (k TEXT PRIMARY KEY)", nil, { "a" })
    db:run("k", "VACUUM")
    db:shard("a"):run "VACUUM"
    db:shard("a"):exec "VACUUM"
    fixture.raises("USAGE", nil, db.run, db, "k", "ATTACH ':memory:' AS other")
    assert.is_false(pcall(function() db:shard("a"):exec "ATTACH ':memory:' AS other" end))
    assert.is_false(pcall(function() db:shard("a"):exec(("ATTACH '%s' AS other"):format(fixture.path "other.db")) end))
    assert.same({ "a.db", "a.db-shm", "a.db-wal" }, { table.unpack(fixture.files(), 1, 3) })
  end)
end)
