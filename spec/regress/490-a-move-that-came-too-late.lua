-- verify reported a key as lost that had moved on: another mover, which still took it to be where it had been, was
-- refused, and raised the floor there above that of the shard to which the key had gone.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

describe("regression 490: a move from a shard that the key has left", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("makes no finding of a key that moved on twice", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", nil, { "a", "b", "c", "d" })
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    db:reassign_shard(key, "b")
    db:reassign_shard(key, "c")
    fixture.raises("CONFLICT", "it went from a meanwhile, by move", move.run, core.state(db), { keyspace = "",
      keys = { key }, source = 1, target = 4 })
    assert.same({ "c" }, fixture.holders({ "a", "b", "c", "d" }, "users", "id", key))
    assert.same({}, db:verify().findings)
  end)
end)
