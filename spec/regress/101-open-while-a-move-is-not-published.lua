-- Rows that had arrived, with the directory's entries not yet written, were taken for a file under a wrong name: a
-- program that opened just then, or until a dead mover was recovered from, got CONFIG, or had the shard integrated
-- again.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

local USERS <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);"

describe("opening while a move of many keys is not published", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function keys_on_a(db)
    local keys = {}
    for i = 1, 4 do
      keys[i] = fixture.key_on(db, "a", i > 1 and tonumber(keys[i - 1]:sub(2)) + 1 or 1)
      db:insert(keys[i], "INSERT INTO users VALUES (?, 1)", { keys[i] })
    end
    return keys
  end

  local function move_and_open(db, keys, source, target)
    local opened
    move.run(core.state(db), { keyspace = "", keys = keys, source = source, target = target, on_step = function(step)
      if step == "activate" then opened = fixture.open(fixture.config()) end
    end })
    return opened
  end

  local function assert_all_found(db, keys)
    for _, key in ipairs(keys) do
      assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    end
  end

  it("is no other file, and nothing to be integrated", function()
    local db = fixture.database(USERS)
    local keys = keys_on_a(db)
    local epoch = core.state(db).directory:epoch()
    assert_all_found(move_and_open(db, keys, 1, 2), keys)   -- from their home: without entries
    assert_all_found(move_and_open(db, keys, 2, 1), keys)   -- the entries name b
    assert.equal(epoch, core.state(db).directory:epoch())
  end)
end)
