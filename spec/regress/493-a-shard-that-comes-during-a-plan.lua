-- A shard that another program added while a rebalance asked its policy about the keys: the policy was told that keys
-- are on a shard that it had not been shown, and "even" failed with a SCRIPT error.

local even = require "collegedb.policies.even"
local fixture = require "spec.support.fixture"

describe("regression 493: a shard that comes while a policy is asked", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- "even", before whose first answer another program adds a shard.
  local function even_meanwhile(other, shown)
    local function choose_later(choose)
      return function(...)
        if other then other:add_shard { name = "d", fixture.path "d.db" } end
        other = nil
        return choose(...)
      end
    end
    return { name = "even", plan = function(shards, ctx)
      local names = {}
      for i, shard in ipairs(shards) do names[i] = shard.name end
      shown[#shown + 1] = table.concat(names, " ")
      return choose_later(even.plan(shards, ctx))
    end }
  end

  it("is shown to it, and gets its share", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    local other = fixture.open(fixture.config())
    for i = 1, 200 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    db:add_shard { name = "c", fixture.path "c.db" }
    local shown = {}
    local report = db:rebalance { policy = even_meanwhile(other, shown) }
    assert.same({ "a b c", "a b c d" }, shown)
    assert.same({ true, 0 }, { report.success, report.failed_count })
    local total, counts = db:count "users"
    assert.equal(200, total)
    assert.is_true(counts.c > 0 and counts.d > 0)
    assert.is_true(db:verify().success)
  end)

  it("has a dry run begin anew by hand", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    local other = fixture.open(fixture.config())
    for i = 1, 200 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    db:add_shard { name = "c", fixture.path "c.db" }
    fixture.raises("BUSY", "other programs changed the shards", db.rebalance, db,
      { policy = even_meanwhile(other, {}), dry_run = true })
  end)
end)
