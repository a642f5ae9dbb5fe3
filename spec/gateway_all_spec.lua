-- Everything behind one gateway: D1 databases as shards, the coordinator as the directory, and Workers KV in which
-- TypeScript Workers find where keys are.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local json_reader = require "collegedb.json_reader"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"

describe("a database behind one gateway", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  local worker, at, mappings

  setup(function()
    worker = gateway.start { databases = { "DB_1", "DB_2", "DB_3" }, namespaces = { "MAPPINGS" } }
    at = collegedb.gateway { url = worker.url, token = gateway.token }
    mappings = at:kv "MAPPINGS"
  end)
  teardown(function() worker.stop() end)
  before_each(fixture.start)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  local function open(more)
    local config = { kv = mappings, coordinator = at:coordinator(), directory = "full", strategy = "hash_compat",
      keyspaces = false, auto_migrate = true, shards = { DB_1 = at:shard "DB_1", DB_2 = at:shard "DB_2" } }
    for field, value in pairs(more or {}) do config[field] = value end
    local db = fixture.open(config)
    db:ensure_schema [[CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER);
      CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, n INTEGER)]]
    return db
  end

  local function name_of(key)
    return "shard:" .. core.sha256(key):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  end
  local function mapping_of(key)
    local text = mappings:get(name_of(key))
    return text and json_reader.decode(text)
  end

  it("writes each key where a TypeScript Worker looks for it, in its form and no other", function()
    local db = open()
    for i = 1, 30 do
      local key = "u" .. i
      db:insert(key, "INSERT INTO users VALUES (?, ?)", { key, i })
      local mapping = mapping_of(key)
      assert.equal(db:locate(key), mapping.shard)
      local fields = {}
      for field, value in pairs(mapping) do
        fields[#fields + 1] = field
        assert(field == "shard" or math.type(value) == "integer", field)
      end
      table.sort(fields)
      assert.same({ "createdAt", "shard", "updatedAt" }, fields)
    end
    db:insert(17, "INSERT INTO orders VALUES (?, 1)", { 17 })
    assert.equal(db:locate(17, "orders"), mapping_of("17").shard)
    assert.same({ "DB_1", "DB_2" }, json_reader.decode(mappings:get "known_shards"))
  end)

  it("follows what a TypeScript Worker has written", function()
    local db = open()
    db:shard("DB_2"):run "INSERT INTO users VALUES ('theirs', 5)"
    mappings:put(name_of "theirs", '{"shard":"DB_2","createdAt":1700000000000,"updatedAt":1700000000000}')
    assert.equal(5, db:first("theirs", "SELECT n FROM users WHERE id = 'theirs'").n)
    assert.equal("DB_2", (db:locate "theirs"))
    assert.equal("DB_2", (open():locate "theirs"))
  end)

  it("moves keys, grows, and tells KV", function()
    local db, other = open(), open()
    local to = db:locate "u1" == "DB_1" and "DB_2" or "DB_1"
    db:reassign_shard("u1", to)
    assert.equal(to, mapping_of("u1").shard)
    other:run("u1", "UPDATE users SET n = n + 1 WHERE id = 'u1'")
    assert.equal(2, db:first("u1", "SELECT n FROM users WHERE id = 'u1'").n)
    db:add_shard { name = "DB_3", at:shard "DB_3" }
    local report = db:rebalance { policy = "even" }
    assert.is_true(report.success)
    assert(report.moved > 5)
    for i = 1, 30 do
      local key = "u" .. i
      assert.equal(db:locate(key), mapping_of(key).shard, key)
      assert.equal(i == 1 and 2 or i, other:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    end
    assert.same({ true, {} }, { db:verify().success, db:verify().findings })
  end)

  it("takes a batch of a key wherever it is, all or none", function()
    local db = open()
    local results = db:batch("u2", { { "UPDATE users SET n = n + 10 WHERE id = 'u2'" },
      { "SELECT n FROM users WHERE id = 'u2'" } })
    assert.equal(12, results[2].results[1].n)
    fixture.raises("CONSTRAINT", nil, db.batch, db, "u2", { { "UPDATE users SET n = 0 WHERE id = 'u2'" },
      { "INSERT INTO users VALUES ('u2', 1)" } })
    assert.equal(12, db:first("u2", "SELECT n FROM users WHERE id = 'u2'").n)
    local other = db:locate "u2" == "DB_1" and "DB_2" or "DB_1"
    db:reassign_shard("u2", other)
    results = open():batch("u2", { { "UPDATE users SET n = n + 1 WHERE id = 'u2'" } })
    assert.equal(1, results[1].meta.changes)
    db:reassign_shard("u2", "DB_3")
    results = db:batch("u2", { { "UPDATE users SET n = n + 1 WHERE id = 'u2' RETURNING n" } })
    assert.equal(14, results[1].results[1].n)
  end)

  it("is refused with Workers KV alone, which could not decide", function()
    fixture.raises("CONFIG", "publish", collegedb.open, { kv = mappings, shards = { a = at:shard "DB_1" } })
  end)
end)
