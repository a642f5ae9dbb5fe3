-- A directory whose epoch, or number of the last move, was the largest integer was taken for a good one. One more than
-- that is a float: adding a shard said that it was done, and no program could open the directory any more.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("regression 561:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, name in ipairs { "epoch", "move" } do
    it("a directory is refused whose last " .. name .. " has no next one", function()
      fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)"):close()
      fixture.sqlite("directory.db", ("INSERT OR REPLACE INTO _collegedb_counters (name, value) "
        .. "VALUES ('%s', 9223372036854775807)"):format(name))
      fixture.raises("CORRUPT", "_collegedb_counters", collegedb.open, fixture.config())
    end)
  end
end)
