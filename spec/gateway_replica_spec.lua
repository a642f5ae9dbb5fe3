-- Read replicas behind the gateway: a routed read may be answered by a copy of the database that lags behind; it sees
-- what this instance has written, and a row that is not in the copy yet is found.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"

describe("a database whose copy lags behind", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  local worker

  setup(function()
    worker = gateway.start { databases = { "DB", "DB_COPY" }, worker = "spec/engine/replica/main.js" }
    fixture.start()
  end)
  teardown(function()
    net.close()
    fixture.stop()
    worker.stop()
  end)

  local function open(options, extra)
    local at = collegedb.gateway { url = worker.url, token = gateway.token }
    local config = { kv = "memory:", shards = { { name = "a", at:shard("DB", options) } }, auto_migrate = true }
    for field, value in pairs(extra or {}) do config[field] = value end
    return fixture.open(config)
  end

  local function replicate() net.request { url = worker.url .. "/replicate", method = "POST" } end
  local function n_of(db) return (db:first("u", "SELECT n FROM users WHERE id = 'u'") or {}).n end

  it("shows an instance what it has written, and others what was copied", function()
    local first, second = open(), open()
    first:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"
    first:run("u", "INSERT INTO users VALUES ('u', 1)")
    assert.equal(1, n_of(first))
    assert.equal(1, n_of(second)) -- the copy has no such row, so the database itself was asked
    replicate()
    local third, fourth = open(), open()
    for i = 2, 5 do
      first:run("u", "UPDATE users SET n = ? WHERE id = 'u'", { i })
      assert.equal(i, n_of(first))
      assert.equal(1, n_of(third))
      assert.equal(i, fourth:shard("a"):first("SELECT n FROM users").n) -- whoever asks a shard asks the database
      assert.equal(i, n_of(fourth)) -- and sees nothing older from then on
    end
    replicate()
    assert.equal(5, n_of(third))
    first:run("u", "UPDATE users SET n = 6 WHERE id = 'u'")
    assert.equal(5, n_of(third))
    third:run("u", "UPDATE users SET n = n + 1 WHERE id = 'u'")
    assert.equal(7, n_of(third))
  end)

  it("is not asked by who wants no replicas, nor by strict reads", function()
    replicate()
    local writer, plain, strict = open(), open { replicas = false }, open(nil, { consistency = "strict" })
    local lagging = open()
    writer:run("u", "UPDATE users SET n = 10 WHERE id = 'u'")
    assert.equal(7, n_of(lagging))
    assert.equal(10, n_of(plain))
    assert.equal(10, n_of(strict))
    assert.equal(10, n_of(writer))
  end)
end)
