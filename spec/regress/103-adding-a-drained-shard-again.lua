-- A shard that was drained was added again by a program that did not know it any more: it got new keys, and went on
-- refusing their rows.

local fixture = require "spec.support.fixture"

describe("a drained shard", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("takes keys again when a program adds it that did not know it", function()
    local one = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    one:add_shard { name = "c", fixture.path "c.db" }
    assert.is_true(one:drain("c").sealed)
    one:close()
    local two = fixture.open(fixture.config())
    two:add_shard { name = "c", fixture.path "c.db" }
    for i = 1, 60 do two:insert("u" .. i, "INSERT INTO users VALUES (?, ?)", { "u" .. i, i }) end
    assert.is_true(fixture.rows("c.db", "SELECT count(*) AS n FROM users")[1].n > 5)
    assert.is_true(two:rebalance().success)
  end)
end)
