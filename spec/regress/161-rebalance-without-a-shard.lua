-- A config lacked a shard that had keys. They raised SHARD_NOT_FOUND, until a rebalance, which could not see them,
-- dropped the placement that told of them: then they were nowhere, and an INSERT made them a second time.

local fixture = require "spec.support.fixture"

describe("rebalancing without a shard that has keys", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("does not forget them", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", nil, { "a", "b", "c" })
    local key = fixture.key_on(db, "c")
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    db:close()
    db = fixture.open(fixture.config(nil, { "a", "b" }))
    local report = db:rebalance()
    assert.is_true(report.success)
    assert.is_false(report.retired)
    fixture.raises("SHARD_NOT_FOUND", "shard c", db.first, db, key, "SELECT n FROM users WHERE id = ?", { key })
    fixture.raises("SHARD_NOT_FOUND", "shard c", db.insert, db, key, "INSERT INTO users VALUES (?, 2)", { key })
    db:close()
    db = fixture.open(fixture.config(nil, { "a", "b", "c" }))
    assert.is_true(db:drain("c").sealed)
    db:close()
    db = fixture.open(fixture.config(nil, { "a", "b" }))
    assert.is_true(db:rebalance().retired)
    assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end)
end)
