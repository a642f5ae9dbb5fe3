-- A rebalance by the policy "even" moved what its plan said, and then, when the earlier placement was given up, as many
-- keys home again: the shards were as uneven as before, and the next run moved keys back.

local fixture = require "spec.support.fixture"

local ROWS <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
  INSERT INTO users SELECT '%s-' || i FROM n]]

describe("regression 450:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function counts(db)
    local total, by_shard = db:count "users"
    assert.equal(3000, total)
    return { by_shard.a, by_shard.b, by_shard.c }
  end

  local function grown(...)
    for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", ROWS:format(name)) end
    local db = fixture.open(fixture.config(...))
    db:add_shard { name = "c", fixture.path "c.db" }
    return db
  end

  it("a rebalance by a policy is done with what its plan says", function()
    local db = grown()
    local plan = db:rebalance { policy = "even", dry_run = true }
    local report = db:rebalance { policy = "even" }
    assert.is_true(report.success and report.retired)
    assert.equal(plan.planned, report.moved)
    assert.same(plan.moves, report.moves)
    assert.same({ 1000, 1000, 1000 }, counts(db))
    assert.equal(0, db:rebalance { policy = "even" }.moved)
    for _, key in ipairs { "a-1", "a-700", "b-1", "b-1500" } do
      assert.equal(key, db:first(key, "SELECT id FROM users WHERE id = ?", { key }).id)
    end
    assert.is_true(db:verify().success)
  end)

  it("a policy is told of keys where they will be, and those that it says nothing of go home", function()
    local db = grown()
    local seen, shards_seen = {}, nil
    local report = db:rebalance { policy = { name = "none", plan = function(shards)
      shards_seen = shards
      return function(_, from) seen[from] = (seen[from] or 0) + 1 end
    end } }
    assert.is_true(report.success and report.retired)
    local now = counts(db)
    for i, name in ipairs { "a", "b", "c" } do
      assert.equal(now[i], shards_seen[i].keys)
      assert.equal(now[i], seen[name])
    end
    assert.is_true(now[3] > 300)
  end)
end)
