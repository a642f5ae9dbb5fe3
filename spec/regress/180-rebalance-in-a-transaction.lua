-- Moving keys inside a transaction on a shard that they are on failed half way (SQL: Safety level may not be changed
-- inside a transaction), could not undo what it had begun, and left the keys to nobody for a minute.

local fixture = require "spec.support.fixture"
local is_error = require("collegedb").is_error

local function database()
  local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
  for i = 1, 60 do db:insert("u" .. i, "INSERT INTO users VALUES (?, ?)", { "u" .. i, i }) end
  return db
end

local function check(db)
  local report = db:rebalance()
  assert.same({ true, 0 }, { report.success, report.failed_count })
  assert.is_true(db:verify().success)
  assert.equal(60, (db:count "users"))
end

-- Inside a transaction of u1, and outside.
local function refused(db, call, ...)
  local args = table.pack(...)
  db:transaction("u1", function(tx)
    tx:run "UPDATE users SET n = -1 WHERE id = 'u1'"
    local done, err = pcall(call, db, table.unpack(args, 1, args.n))
    assert.is_false(done)
    assert.is_true(is_error(err, "BUSY"), tostring(err))
  end)
  assert.equal(-1, db:first("u1", "SELECT n FROM users WHERE id = 'u1'").n)
end

describe("inside a transaction", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("rebalance and drain are refused, and nothing is begun", function()
    local db = database()
    db:add_shard { name = "c", fixture.path "c.db" }
    refused(db, db.rebalance)
    refused(db, db.drain, "c")
    refused(db, db.drain, (db:locate "u1"))
    check(db)
    assert.is_true(select(2, db:count "users").c > 5)
  end)

  it("moving a key away from that shard, or to it, is refused", function()
    local db = database()
    local here = db:locate "u1"
    local there = here == "a" and "b" or "a"
    refused(db, db.reassign_shard, "u1", there)
    for i = 2, 60 do
      if db:locate("u" .. i) == there then
        refused(db, db.reassign_shard, "u" .. i, here)
        break
      end
    end
    check(db)
    assert.is_true(db:reassign_shard("u1", there).moved)
  end)
end)
