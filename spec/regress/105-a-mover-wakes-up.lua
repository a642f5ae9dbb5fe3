-- A mover that slept past its lease, and that a recovery had undone meanwhile, failed with SQL (no such table) where
-- the fence had gone with the move; it is MOVED, which can be tried again.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local recovery = require "collegedb.recovery"

describe("a mover that was recovered from", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is told so", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    local key, other = fixture.key_on(db, "a"), fixture.open(fixture.config())
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    fixture.raises("MOVED", "taken back", move.run, core.state(db), {
      keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(step)
        if step == "send" then recovery.run(core.state(other), true) end
      end })
    assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    assert.is_true(db:reassign_shard(key, "b").moved)
  end)
end)
