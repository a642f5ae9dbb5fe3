-- The plan of a rebalance asked three things of each key that was away from its newest home, each by itself: 755
-- requests for 143 keys on D1.

local collegedb = require "collegedb"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"

describe("planning to move keys between D1 databases", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  local worker
  setup(function() worker = gateway.start { databases = { "A", "B", "C" } } end)
  teardown(function() worker.stop() end)
  before_each(function()
    fixture.start()
    faults.start()
  end)
  after_each(function()
    net.close()
    faults.stop()
    fixture.stop()
  end)

  it("takes a few requests, however many keys there are", function()
    local at = collegedb.gateway { url = faults.stand_before(worker.url), token = gateway.token }
    local db = fixture.open { kv = fixture.path "directory.db", auto_migrate = true,
      shards = { { name = "a", at:shard "A" }, { name = "b", at:shard "B" } } }
    db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)"
    for i = 1, 200 do db:run("u" .. i, "INSERT INTO users VALUES (?)", { "u" .. i }) end
    db:add_shard { name = "c", at:shard "C" }
    local before = faults.count "*"
    local plan = db:rebalance { dry_run = true }
    assert(plan.planned > 40)
    assert(faults.count "*" - before < 30, faults.count "*" - before)
    local moved = db:rebalance().moved
    assert.equal(plan.planned, moved)
    before = faults.count "*"
    plan = db:drain("a", { dry_run = true })
    assert(plan.planned > 40)
    assert(faults.count "*" - before < 30, faults.count "*" - before)
    assert.is_true(db:drain("a").sealed)
    assert.equal(200, (db:count "users"))
    db:close()
  end)
end)
