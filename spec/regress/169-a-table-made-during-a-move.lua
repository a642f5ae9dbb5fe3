-- A table was made while a move was copying, and got rows of its key: no fence stood before it, and the move was
-- committed without them. They stayed behind, where nobody looked for them.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

describe("a table that is made during a move", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("keeps the move from being committed", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    local other, key = fixture.open(fixture.config()), fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    local function run(script)
      return move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(name)
        if name == "copy" then script() end
      end })
    end
    fixture.raises("CONFLICT", "notes", run, function()
      for _, name in ipairs { "a", "b" } do
        other:shard(name):exec "CREATE TABLE notes (owner TEXT PRIMARY KEY, n INTEGER)"
      end
      other:insert(key, "INSERT INTO notes VALUES (?, 1)", { key })
    end)
    assert.equal(1, db:first(key, "SELECT n FROM notes WHERE owner = ?", { key }).n)
    assert.equal(2, run(function()
      for _, name in ipairs { "a", "b" } do other:shard(name):exec "CREATE TABLE strangers (id INTEGER PRIMARY KEY)" end
    end).rows)
    assert.equal("b", db:locate(key))
    assert.equal(1, db:first(key, "SELECT n FROM notes WHERE owner = ?", { key }).n)
    assert.is_true(db:verify().success)
  end)
end)
