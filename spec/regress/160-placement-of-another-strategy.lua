-- Rebalancing dropped the placement of the strategy `hash` when another strategy was in use since: keys that have
-- no entry because they are at home there were not found any more, and could be inserted a second time.

local fixture = require "spec.support.fixture"

describe("rebalancing after a change of strategy", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("goes on finding the keys that the old one placed", function()
    local names = { "a", "b", "c" }
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", nil, names)
    for i = 1, 60 do db:insert("u" .. i, "INSERT INTO users VALUES (?, ?)", { "u" .. i, i }) end
    db:close()
    db = fixture.open(fixture.config({ strategy = "round_robin" }, names))
    local report = db:rebalance()
    assert.is_true(report.success)
    assert.is_false(report.retired)
    for i = 1, 60 do
      assert.equal(i, db:first("u" .. i, "SELECT n FROM users WHERE id = ?", { "u" .. i }).n)
      fixture.raises("CONSTRAINT", nil, db.insert, db, "u" .. i, "INSERT INTO users VALUES (?, 0)", { "u" .. i })
    end
    assert.is_true(db:verify().success)
    db:close()
    db = fixture.open(fixture.config(nil, names))
    assert.is_true(db:rebalance().retired)
    assert.equal(60, db:count "users")
    assert.is_true(db:verify().success)
  end)
end)
