-- The statistics left out errors inside a loop, of a script, of the beginning and the end of a transaction (so a file
-- with too many writers looked well), and those that check_keys finds.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local USERS <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT); "
  .. "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, "
  .. "owner TEXT REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)"
local OVERFLOWS <const> = "SELECT abs(-9223372036854775807 - 1)"

local function errors_of(db) return db:statistics().shards[1].errors_by_code end

describe("regression 347:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("errors in loops and scripts are counted, once", function()
    local db = fixture.database(USERS)
    local key, shard = fixture.key_on(db, "a"), db:shard "a"
    fixture.raises("SQL", nil, function() for _ in db:each(key, OVERFLOWS, {}) do end end)
    fixture.raises("SQL", nil, function() for _ in shard:each(OVERFLOWS) do end end)
    fixture.raises("SQL", nil, function() for _ in shard:each "SELECT nothing" do end end)
    fixture.raises("SQL", nil, shard.exec, shard, "SELECT nothing")
    assert.same({ SQL = 4 }, errors_of(db))
  end)

  it("a transaction that can not be begun or committed is an error", function()
    local db = fixture.database(USERS, { shards = { a = { busy_timeout = 0.01 } } })
    local key = fixture.key_on(db, "a")
    local writer = core.sqlite(fixture.path "a.db", {})
    local held = core.begin(writer)
    fixture.raises("BUSY", nil, db.transaction, db, key, function() end)
    core.rollback(held)
    core.close(writer)
    db:shard("a"):exec "PRAGMA foreign_keys = on"
    fixture.raises("CONSTRAINT", nil, db.transaction, db, key, function(tx)
      tx:run "INSERT INTO notes (owner) VALUES ('nobody')"
    end)
    assert.same({ BUSY = 1, CONSTRAINT = 1 }, errors_of(db))
  end)

  it("what check_keys refuses is an error, once", function()
    local db = fixture.database(USERS, { check_keys = true })
    local key = fixture.key_on(db, "a")
    fixture.raises("USAGE", "check_keys", db.insert, db, key, "INSERT INTO users VALUES ('another', 'x')", {})
    fixture.raises("SQL", nil, db.insert, db, key, "INSERT INTO users SELECT nothing", {})
    assert.same({ USAGE = 1, SQL = 1 }, errors_of(db))
  end)
end)
