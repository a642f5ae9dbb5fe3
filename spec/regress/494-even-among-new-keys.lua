-- The policy "even" left a key where it is that would have gone home when the earlier placement was given up; without
-- an entry it went home all the same, and the shards were not even.

local fixture = require "spec.support.fixture"

describe("regression 494: even, after shards were added", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is exact for keys that have no entry", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for i = 1, 200 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    db:add_shard { name = "c", fixture.path "c.db" }
    db:add_shard { name = "d", fixture.path "d.db" }
    local plan = db:rebalance { policy = "even", dry_run = true }
    assert.equal(0, #fixture.rows("directory.db", "SELECT * FROM _collegedb_entries"))
    local report = db:rebalance { policy = "even" }
    assert.is_true(report.success and report.retired)
    assert.same(plan.moves, report.moves)
    assert.same({ a = 50, b = 50, c = 50, d = 50 }, select(2, db:count "users"))
    assert.equal(0, db:rebalance { policy = "even" }.moved)
    for i = 1, 200 do
      local key = "k" .. i
      assert.equal(key, db:first(key, "SELECT id FROM users WHERE id = ?", { key }).id)
    end
    assert.is_true(db:verify().success)
  end)
end)
