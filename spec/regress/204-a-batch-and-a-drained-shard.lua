-- A batch behind the gateway asked whether the shard was closed in a request of its own. Now the shard refuses it, and
-- it goes where the key belongs.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"

describe("a batch of a program that has not seen a shard being drained", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  local worker
  setup(function() worker = gateway.start { databases = { "A", "B", "DIRECTORY" } } end)
  teardown(function() worker.stop() end)
  before_each(fixture.start)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  it("is done where the key belongs, old or new", function()
    local at = collegedb.gateway { url = worker.url, token = gateway.token }
    local function open()
      return fixture.open { kv = at:shard "DIRECTORY", auto_migrate = true, shards = { A = at:shard "A",
        B = at:shard "B" } }
    end
    local db, other = open(), open()
    db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"
    local function add(program, key)
      return program:batch(key, { { "INSERT INTO users VALUES (?, 0) ON CONFLICT DO UPDATE SET n = n + 1", { key } },
        { "UPDATE users SET n = n + 10 WHERE id = ?", { key } } })
    end
    for i = 1, 20 do add(db, "u" .. i) end
    for i = 1, 20 do other:first("u" .. i, "SELECT n FROM users WHERE id = 'u'") end
    assert.is_true(db:drain("A").sealed)
    for i = 1, 30 do
      assert.equal(1, add(other, "u" .. i)[1].meta.changes)
      assert.equal("B", (other:locate("u" .. i)))
      local row = db:first("u" .. i, "SELECT n FROM users WHERE id = ?", { "u" .. i })
      assert.equal(i <= 20 and 21 or 10, row.n)
    end
    assert.same({ A = 0, B = 30 }, select(2, db:count "users"))
  end)
end)
