-- A mover died after the new home of a key had been told to receive it, and the key was deleted. Its next INSERT noted
-- at the old home that the key is at the new one, which said that it is at the old one: neither was waited for, nor
-- ended by programs that were open, and each INSERT failed with BUSY.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

local function database()
  local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", { move_deadline = 1 })
  for i = 1, 60 do db:insert("u" .. i, "INSERT INTO users VALUES (?, 1)", { "u" .. i }) end
  db:add_shard { name = "c", fixture.path "c.db" }
  return db
end

-- A key that is on a, and has its new home on c.
local function on_its_way(db)
  local found
  db:rebalance { dry_run = true, policy = function(key, _, info)
    if info.home == "c" and db:locate(key) == "a" then found = key end
  end }
  return found
end

describe("a key whose mover died before its source heard of it", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is inserted again when the mover's lease has run out", function()
    local db, names = database(), { "a", "b", "c" }
    local key = on_its_way(db)
    movers.die(key, "receive", "a", "c", names)
    movers.unlock()
    db:run(key, "DELETE FROM users WHERE id = ?", { key })
    fixture.raises("MOVING", "move_deadline", db.insert, db, key, "INSERT INTO users VALUES (?, 2)", { key })
    movers.expire()
    db:insert(key, "INSERT INTO users VALUES (?, 3)", { key })
    assert.equal(3, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    assert.same({ "c" }, fixture.holders(names, "users", "id", key))
    assert.is_true(db:rebalance().success)
    assert.is_true(db:verify().success)
    assert.equal(60, (db:count "users"))
  end)
end)
