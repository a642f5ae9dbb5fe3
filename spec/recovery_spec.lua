-- What a dead mover left, met by programs that are open.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

local SHOP = [[
CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);]]

local function open(extra)
  local db = fixture.database(SHOP, extra)
  local key = fixture.key_on(db, "a")
  db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
  db:insert(key, "INSERT INTO orders VALUES (1, ?)", { key })
  return db, key
end

local function bump(db, key) return db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes end

describe("a dead mover's move", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is undone by the writer that waits for it, once the lease ran out", function()
    local db, key = open { move_deadline = 2 }
    movers.die(key, "copy", "a", "b")
    movers.expire()
    assert.equal(1, bump(db, key))
    assert.same({ "a" }, fixture.holders({ "a", "b" }, "users", "id", key))
    assert.equal(0, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
    assert.is_true(db:reassign_shard(key, "b").moved)
  end)

  it("is left alone while the mover may live", function()
    local db, key = open { move_deadline = 1 }
    movers.die(key, "copy", "a", "b")
    movers.unlock()
    fixture.raises("MOVING", nil, bump, db, key)
    assert.equal(1, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
    movers.expire()
    assert.equal(1, bump(db, key))
  end)

  it("that was committed is gone on with", function()
    local db, key = open()
    movers.die(key, "commit", "a", "b")
    assert.equal(1, bump(db, key)) -- also before the lease runs out
    assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end)

  it("is undone by a transaction, which is refused once", function()
    local db, key = open()
    movers.die(key, "send", "a", "b")
    movers.expire()
    local function add(tx) tx:run("UPDATE users SET n = n + 1 WHERE id = ?", { key }) end
    assert.is_true(fixture.raises("MOVED", nil, db.transaction, db, key, add).retryable)
    db:transaction(key, add)
    assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end)

  it("is undone by the next move of the key", function()
    for _, step in ipairs { "receive", "send", "copy", "commit", "activate" } do
      local db, key = open()
      movers.die(key, step, "a", "b")
      movers.expire()
      local target = (step == "commit" or step == "activate") and "a" or "b"
      assert.is_true(db:reassign_shard(key, target).moved, step)
      assert.same({ target }, fixture.holders({ "a", "b" }, "users", "id", key))
      fixture.stop()
      fixture.start()
    end
  end)
end)
