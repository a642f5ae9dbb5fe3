-- A routed batch begins with a look of ours at the key. When the answer was lost and the batch was sent again, the rows
-- of that look were missing, and a batch that was done was OUTCOME_UNKNOWN.

local collegedb = require "collegedb"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local net = require "collegedb.net"

describe("regress 331: a routed batch that is sent twice", function()
  local worker, db

  if gateway.skips(it, function(why) pending(why) end) then return end

  setup(function() worker = gateway.start { databases = { "A" } } end)
  teardown(function() worker.stop() end)

  before_each(function()
    fixture.start()
    faults.start()
    local at = collegedb.gateway { url = faults.stand_before(worker.url), token = gateway.token, deadline = 10 }
    db = fixture.open { kv = "memory:", shards = { a = at:shard "A" }, auto_migrate = true }
  end)
  after_each(function()
    db:close()
    net.close()
    faults.stop()
    fixture.stop()
  end)

  it("tells what it has done", function()
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    db:run("u", "INSERT INTO users VALUES ('u', 0)")
    local adds = { { "UPDATE users SET n = n + 1 WHERE id = 'u'" }, { "UPDATE users SET n = n WHERE id = 'nobody'" } }
    for _, lost in ipairs { 1, 2, 3, 1, 2, 3 } do
      faults.at(lost, { pass = true, part = 0 })
      local results = db:batch("u", adds)
      faults.network()
      assert.same({ 1, 0 }, { results[1].meta.changes, results[2].meta.changes }, lost)
    end
    assert.equal(6, db:first("u", "SELECT n FROM users WHERE id = 'u'").n)
    adds[2] = { "SELECT n FROM users" } -- its rows are lost for good
    db:batch("u", adds)
    local unknown = 0
    for _, lost in ipairs { 1, 2, 3, 1, 2, 3 } do
      faults.at(lost, { pass = true, part = 0 })
      local done, err = pcall(db.batch, db, "u", adds)
      faults.network()
      assert(done or err.code == "OUTCOME_UNKNOWN", err)
      unknown = unknown + (done and 0 or 1)
    end
    assert(unknown > 0)
    assert.equal(13, db:first("u", "SELECT n FROM users WHERE id = 'u'").n)
  end)
end)
