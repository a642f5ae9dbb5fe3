-- A key with rows in two tables of its group was shown to the policy once for each. The policy `even`, which counts
-- what it sends away, then sent some keys twice and others not at all; a plan had more keys than were moved.

local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY);
  CREATE TABLE notes (user TEXT REFERENCES users ON DELETE CASCADE, note TEXT, PRIMARY KEY (user, note))]]

describe("regress: a policy is asked", function()
  local db

  before_each(function()
    fixture.start()
    db = fixture.database(SCHEMA)
    for i = 1, 300 do -- all on a, every second one with notes
      local key = "user" .. i
      db:mapper():set_shard_mapping(key, "a")
      db:insert(key, "INSERT INTO users VALUES (?)", { key })
      if i % 2 == 0 then db:insert(key, "INSERT INTO notes VALUES (?, 'x'), (?, 'y')", { key, key }) end
    end
  end)
  after_each(fixture.stop)

  it("once about each key", function()
    local asked, count = {}, 0
    db:rebalance { dry_run = true, policy = function(key)
      assert(not asked[key], key)
      asked[key], count = true, count + 1
    end }
    assert.equal(300, count)
  end)

  it("so that keys come out even, in one run, as many as were planned", function()
    db:add_shard { name = "c", fixture.path "c.db" }
    local report = db:rebalance { policy = "even" }
    assert.is_true(report.success)
    assert.equal(report.planned, report.moved)
    for _, shard in ipairs(db:get_shard_stats()) do assert.equal(100, shard.count, shard.binding) end
  end)
end)
