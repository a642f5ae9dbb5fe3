-- A call that moves keys, or brings a move to its end, inside a transaction on the same shard raised SQL, "Safety
-- level may not be changed inside a transaction", instead of BUSY.

local fixture = require "spec.support.fixture"

describe("moving inside a transaction", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("raises BUSY, and undoes the move", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    fixture.raises("BUSY", "a transaction of this instance", db.transaction, db, key, function(tx)
      tx:run("UPDATE users SET n = 2")
      db:reassign_shard(key, "b")
    end)
    assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    assert.is_true(db:reassign_shard(key, "b").moved)
    assert.is_true(db:verify().success)
  end)
end)
