-- A key was moved to a shard and deleted there, and the shard drained, all before the mover, which had slept past its
-- lease, wrote the key's entry.
-- The entry then named a shard that takes no rows: an INSERT of the key raised MOVING for ever.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local moves = require "collegedb.moves"

describe("a move to a shard that is drained before the move is over", function()
  local lease = moves.lease
  before_each(fixture.start)
  after_each(function()
    moves.lease = lease
    fixture.stop()
  end)

  it("writes no entry that names it", function()
    local names = { "a", "b", "c" }
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", { move_deadline = 1 }, names)
    local key, other = fixture.key_on(db, "a"), fixture.open(fixture.config(nil, names))
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    moves.lease = 1
    move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(name)
      if name ~= "activate" then return end
      fixture.rows("b.db", "DELETE FROM users RETURNING id")
      assert.is_true(other:drain("b").sealed)
    end })
    db:insert(key, "INSERT INTO users VALUES (?, 2)", { key })
    assert.equal(2, other:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    assert.is_true(db:verify().success)
  end)
end)
