-- An open that was refused with BUSY had registered the new shard, which then never got the ensured schema.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("regression 006:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a shard gets the schema after a refused open", function()
    local db = fixture.database "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY)"
    local three = fixture.config({}, { "a", "b", "c" })
    fixture.raises("BUSY", nil, collegedb.open, three)
    assert.same({ { name = "a" }, { name = "b" } }, fixture.rows("directory.db", "SELECT name FROM _collegedb_shards"))
    db:close()
    db = fixture.open(three)
    assert.equal(1, #db:shard("c"):all "SELECT name FROM sqlite_schema WHERE type = 'table'")
  end)
end)
