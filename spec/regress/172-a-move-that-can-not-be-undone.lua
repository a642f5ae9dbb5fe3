-- A move failed because the source was locked, and for the same reason could not be undone: writes to its key
-- raised MOVING for a minute, as if the mover were still at work.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

describe("a move that failed and could not be undone", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is undone by who meets it", function()
    local extra = { move_deadline = 3, shards = { a = { busy_timeout = 0.1 } } }
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", extra)
    local key, other = fixture.key_on(db, "a"), core.sqlite(fixture.path "a.db", {})
    fixture.track { close = function() core.close(other) end }
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    local tx
    fixture.raises("BUSY", nil, move.run, core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2,
      on_step = function(name)
        if name == "copy" then tx = core.begin(other) end
      end })
    core.rollback(tx)
    assert.equal(1, db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes)
    assert.is_true(db:reassign_shard(key, "b").moved)
    assert.is_true(db:verify().success)
  end)
end)
