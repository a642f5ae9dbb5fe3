-- A row inserted without its number got the one of a staged row, so that a committed move could not be brought in; or
-- the one of a key that had left.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

describe("regression 141:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("SQLite does not choose the number of a row that is on its way to the shard", function()
    local db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);]]
    local key, other = fixture.key_on(db, "a"), fixture.key_on(db, "b")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    db:insert(key, "INSERT INTO orders VALUES (1, ?)", { key })
    local refused
    move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(step)
      if step ~= "copy" then return end
      refused = fixture.raises("MOVED", nil, function()
        db:shard("b"):run("INSERT INTO orders (user_id) VALUES (?)", { other })
      end)
    end })
    assert.is_true(refused.retryable)
    db:shard("b"):run("INSERT INTO orders (user_id) VALUES (?)", { other })
    assert.same({ { id = 1, user_id = key }, { id = 2, user_id = other } },
      fixture.rows("b.db", "SELECT * FROM orders ORDER BY id"))
  end)

  it("nor that of a key that has left", function()
    local db = fixture.database "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)"
    local key = db:key("users", 1)
    db:insert(key, "INSERT INTO users VALUES (1, 'x')")
    local from = db:locate(key)
    db:reassign_shard(key, from == "a" and "b" or "a")
    fixture.raises("MOVED", nil, function() db:shard(from):run "INSERT INTO users (name) VALUES ('y')" end)
    assert.equal(0, #fixture.rows(from .. ".db", "SELECT * FROM users"))
    db:shard(from):run "INSERT INTO users VALUES (5, 'y')"
    db:shard(from):run "INSERT INTO users (name) VALUES ('z')"
    assert.equal(2, #fixture.rows(from .. ".db", "SELECT * FROM users"))
  end)
end)
