-- Of a key with rows on two shards the first stands, and the others are not reached. Rebalancing and draining moved
-- those others, and draining a shard or changing weights looked at the new home first: then they took the place of the
-- first ones.

local fixture = require "spec.support.fixture"

local NAMES <const> = { "a", "b" }

-- Each key on both shards, with the name of the shard.
local function database(answer)
  for _, name in ipairs(NAMES) do
    fixture.sqlite(name .. ".db", ([[CREATE TABLE users (id TEXT PRIMARY KEY, at TEXT);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
      INSERT INTO users SELECT 'u' || i, '%s' FROM n;]]):format(name))
  end
  local config = fixture.config { rules = { api = 1, name = "both", conflict = function() return answer end } }
  return fixture.open(config), config
end

local function seen(db)
  local list = {}
  for i = 1, 60 do list[i] = db:first("u" .. i, "SELECT at FROM users WHERE id = ?", { "u" .. i }).at end
  return list
end

describe("keys on two shards", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, answer in ipairs { "error", "keep" } do
    for _, call in ipairs { "rebalance", "even", "drain a", "drain b" } do
      it(("give the same rows after %s, where the rules say %s"):format(call, answer), function()
        local db, config = database(answer)
        local before = seen(db)
        db:add_shard { name = "c", fixture.path "c.db" }
        assert.same(before, seen(db))
        local shard = call:match "^drain (.)"
        if shard then
          local report = db:drain(shard)
          assert.is_false(report.sealed)
          assert.is_true(report.failed_count > 0)
        else
          db:rebalance { policy = call == "even" and "even" or nil }
        end
        assert.same(before, seen(db))
        assert.equal(120, (db:count "users"))
        db:close()
        assert.same(before, seen(fixture.open(config)))
      end)
    end
  end

  it("give the same rows after weights changed", function()
    local db, config = database "error"
    local before = seen(db)
    db:close()
    config.shards[2].weight = 5
    db = fixture.open(config)
    assert.same(before, seen(db))
    db:rebalance()
    assert.same(before, seen(db))
    db:close()
    assert.same(before, seen(fixture.open(config)))
  end)
end)
