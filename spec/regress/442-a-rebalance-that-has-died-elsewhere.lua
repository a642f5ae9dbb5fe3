-- A rebalance that was killed keeps others out for up to three minutes where the directory is a database; the next one
-- said that another program was at it, and not for how long that could be.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local journal = require "collegedb.journal"

describe("regression 442:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open(kv)
    local db = fixture.open(fixture.config { kv = kv })
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    return db
  end

  it("it is said when the work can be taken over", function()
    local given = { kv = fixture.single "directory.db" }
    local db, other = open(given.kv), fixture.open(fixture.config(given))
    local job = journal.claim(core.state(other).directory, "rebalance", 0)
    local err = fixture.raises("BUSY", "already, or has died doing so: then this can be run in %d+ s$",
      db.rebalance, db)
    local seconds = tonumber(err.message:match "(%d+) s$")
    assert.is_true(seconds > 100 and seconds <= 181)
    job:release()
    assert.is_true(db:rebalance().success)
  end)

  it("in a file whoever has the work is alive", function()
    local db = open(nil)
    local job = journal.claim(core.state(fixture.open(fixture.config())).directory, "rebalance", 0)
    fixture.raises("BUSY", "already$", db.rebalance, db)
    job:release()
    assert.is_true(db:rebalance().success)
  end)
end)
