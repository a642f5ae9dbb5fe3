-- The rows of a move whose program had died after the commit are on two shards: db:integrate called that a conflict.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

describe("regression 482:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a move that is not over is no conflict", function()
    local db = fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)")
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    movers.die(key, "activate", "a", "b")
    local report = db:integrate "b"
    assert.same({ 0, true }, { report.conflict_count, report.success })
    assert.same({ "b" }, fixture.holders({ "a", "b" }, "users", "id", key))
  end)
end)
