-- db:ensure_schema met a dead program's move that it could not end, since another program wrote to the other shard. It
-- failed at once with BUSY, and yet the schema was remembered for shards that come later.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"
local recovery = require "collegedb.recovery"

describe("regression 564:", function()
  local CHANGE <const> = "ALTER TABLE users ADD COLUMN more"
  local run = recovery.run
  local db, key

  before_each(function()
    fixture.start()
    local settings = { busy_timeout = 0.5 }
    db = fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)",
      { shards = { a = settings, b = settings } })
    key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    movers.die(key, "copy", "a", "b")
  end)

  after_each(function()
    recovery.run = run
    fixture.stop()
  end)

  it("the schema waits until the move can be ended", function()
    local writer <close> = fixture.spawn [[
      local core = require "collegedb.core"
      core.sqlite(folder .. "/b.db", {}):transaction(function()
        print "writes"
        io.stdout:flush()
        core.pause(900)
      end)]]
    assert.equal("writes", writer:read "l")
    db:ensure_schema(CHANGE)
    assert.equal(1, db:run(key, "UPDATE users SET more = 1 WHERE id = ?", { key }).meta.changes)
  end)

  it("a schema that could not be ensured is forgotten", function()
    local function count() return #fixture.rows("directory.db", "SELECT 1 FROM _collegedb_schema") end
    local before = count()
    function recovery.run() require("collegedb.errors").raise("UNAVAILABLE", nil, "b is away") end
    assert.equal("a", fixture.raises("UNAVAILABLE", "b is away", db.ensure_schema, db, CHANGE).shard)
    assert.equal(before, count())
  end)
end)
