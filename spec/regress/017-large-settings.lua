-- A busy_timeout of weeks became none, and a mapping_cache_ttl of ages cached nothing.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 017:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("large settings are kept or refused", function()
    for _, seconds in ipairs { 1e6, 3e6, 1e10 } do
      local ok, db = pcall(collegedb.open, fixture.config { shards = { a = { busy_timeout = seconds } } })
      if ok then
        db:shard("a"):exec "CREATE TABLE IF NOT EXISTS t (x)"
        local pipe = fixture.spawn [[
          local core = require "collegedb.core"
          local shard = core.sqlite(folder .. "/a.db", {})
          shard:transaction(function()
            print "locked"
            io.stdout:flush()
            for _ = 1, 6 do core.pause(50) end
          end)]]
        assert.equal("locked", pipe:read "l")
        db:shard("a"):run "INSERT INTO t VALUES (1)" -- waits
        pipe:close()
        db:close()
      else
        assert.is_true(collegedb.is_error(db, "CONFIG"))
      end
    end
    for _, seconds in ipairs { 1e12, 1e17, 1e300 } do
      local ok, db = pcall(collegedb.open, fixture.config { mapping_cache_ttl = seconds })
      if ok then
        for _ = 1, 3 do db:locate "k" end
        assert.equal(2, core.cache_stats(db).hits)
        db:close()
      else
        assert.is_true(collegedb.is_error(db, "CONFIG"))
      end
    end
  end)
end)
