-- A batch that met a move of its key raised MOVED at once, where a single write waits until the key has arrived.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

describe("regress: a batch while a key moves", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open(extra)
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", extra)
    local key = "ada"
    db:insert(key, "INSERT INTO users VALUES (?, 0)", { key })
    local at = db:locate(key)
    return db, key, at, at == "a" and "b" or "a"
  end

  local function add_two(db, key)
    local one = { "UPDATE users SET n = n + 1 WHERE id = ?", { key } }
    return db:batch(key, { one, one })
  end

  it("waits as long as a write does", function()
    local db, key, at, to = open { move_deadline = 1 }
    movers.die(key, "send", at, to)
    movers.unlock()
    fixture.raises("MOVING", nil, add_two, db, key)
    fixture.raises("MOVED", nil, db.transaction, db, key, function(tx) tx:run("UPDATE users SET n = 9") end)
    assert.equal(0, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    movers.expire()
    assert.equal(1, add_two(db, key)[2].meta.changes)
    assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end)

  it("is done where the key is then", function()
    local db, key, at, to = open()
    local pipe = movers.pause(key, "send", at, to, 700)
    assert.equal(1, add_two(db, key)[2].meta.changes)
    pipe:read "a"
    pipe:close()
    assert.equal(to, (db:locate(key)))
    assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end)
end)
