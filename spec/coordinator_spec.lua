-- The coordinator of the gateway as others see it: TypeScript Workers by the paths of their library, and anyone by
-- claims, numbers, turns and leases; and that a Lua program, which has its directory there, never gives a key to
-- another shard.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local json_reader = require "collegedb.json_reader"
local net = require "collegedb.net"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"

describe("the coordinator", function()
  if gateway.skips(it, function(why) pending(why) end) then return end

  local served

  ---The answer's status, and what its JSON says, or its text.
  local function ask(method, path, body, token)
    local answer = net.exchange { url = served.url .. "/coordinator/" .. path, token = token or gateway.token,
      method = method, body = body and json.encode(body), headers = { ["Content-Type"] = "application/json" },
      write = false, attempts = 1 }
    local done, value = pcall(json_reader.decode, answer.body or "")
    return answer.status, done and value or answer.body
  end

  local function post(path, body, token)
    local status, value = ask("POST", path, body or json.object {}, token)
    assert.equal(200, status, json.encode(value))
    return value
  end

  local function coordinator() return collegedb.gateway({ url = served.url, token = gateway.token }):coordinator() end

  local function open(extra)
    local config = fixture.config(extra, { "a", "b" })
    config.kv = coordinator()
    return fixture.open(config)
  end

  setup(function()
    served = gateway.start { worker = "spec/engine/neighbour/index.js", vars = { COLLEGEDB_DEVELOPMENT = "true" } }
  end)
  teardown(function()
    net.close()
    served.stop()
  end)

  before_each(fixture.start)
  before_each(function() post "flush" end)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  describe("for TypeScript Workers", function()
    local function names()
      local _, list = ask("GET", "shards")
      return list
    end

    it("lists shards, adds them and takes them away", function()
      assert.same({}, names())
      assert.same({ success = true }, post("shards", { shard = "db-a" }))
      assert.same({ success = true }, post("shards", { shard = "db-b" }))
      assert.same({ success = true }, post("shards", { shard = "db-a" }))
      assert.same({ "db-a", "db-b" }, names())
      assert.same({ 200, { success = true } }, { ask("DELETE", "shards", { shard = "db-a" }) })
      assert.same({ "db-b" }, names())
      post("shards", { shard = "db-a" })
      assert.same({ "db-a", "db-b" }, names())
      assert.same({ 400, { error = "Missing or invalid shard parameter" } },
        { ask("POST", "shards", json.object {}) })
      assert.same({ 200, "OK" }, { ask("GET", "health") })
    end)

    it("gives a key to one shard, whoever asks, and by whatever strategy", function()
      for _, name in ipairs { "db-a", "db-b", "db-c" } do post("shards", { shard = name }) end
      local seen = {}
      for i = 1, 6 do
        local shard = post("allocate", { primaryKey = "k" .. i }).shard
        seen[shard] = (seen[shard] or 0) + 1
        for _, strategy in ipairs { "hash", "random", "round-robin", "location" } do
          assert.equal(shard, post("allocate", { primaryKey = "k" .. i, strategy = strategy }).shard)
        end
        assert.equal(shard, post("lookup", { key = "k" .. i }).shard)
      end
      assert.same({ ["db-a"] = 2, ["db-b"] = 2, ["db-c"] = 2 }, seen)
    end)

    it("places by the library's hash, among the shards that are named", function()
      local list = { "s1", "s2", "s3" }
      -- As the library computes it.
      local function home(key)
        local h = 0
        for c in key:gmatch "." do h = (h * 31 + c:byte()) & 0xffffffff end
        if h >= 1 << 31 then h = (1 << 32) - h end
        return list[h % 3 + 1]
      end
      for i = 1, 20 do
        local key = "user-" .. i
        assert.equal(home(key), post("allocate", { primaryKey = key, strategy = "hash", availableShards = list }).shard)
      end
      assert.same(list, names())
    end)

    it("keeps to what it has told of a key that was only read, since the library remembers it", function()
      for _, name in ipairs { "db-a", "db-b" } do post("shards", { shard = name }) end
      local shard = post("allocate", { primaryKey = "k", operationType = "read" }).shard
      assert.equal(shard, post("lookup", { key = "k" }).shard)
      assert.equal(1, post("turn", { name = "round_robin", peek = true }).turn)
    end)

    it("counts, and tells what was reported or what is there", function()
      for _, name in ipairs { "db-a", "db-b" } do post("shards", { shard = name }) end
      post("stats", { shard = "db-a", count = 17 })
      post("stats", { shard = "nobody", count = 1 })
      for i = 1, 4 do post("allocate", { primaryKey = "k" .. i }) end
      local function counts(path)
        local _, list = ask("GET", path)
        local found = {}
        for _, each in ipairs(list) do
          assert.is_true(math.abs(each.lastUpdated - os.time() * 1000) < 60000)
          found[each.binding] = each.count
        end
        return found
      end
      assert.same({ ["db-a"] = 17, ["db-b"] = 0 }, counts "stats")
      assert.same({ ["db-a"] = 2, ["db-b"] = 2 }, counts "stats?exact")
      assert.same({ 400, { error = "Missing or invalid count parameter" } },
        { ask("POST", "stats", { shard = "db-a" }) })
    end)

    it("numbers sequences", function()
      assert.same({ value = 1 }, post("sequence", { name = "orders" }))
      assert.same({ value = 2 }, post("sequence", { name = "orders" }))
      assert.same({ value = 50 }, post("sequence", { name = "orders", min = 50 }))
      assert.same({ value = 51 }, post("sequence", { name = "orders", min = 7 }))
      assert.same({ value = 1 }, post("sequence", { name = "others" }))
    end)

    it("is theirs where they have bound the class themselves", function()
      local function library(method, path, body)
        return (select(2, ask(method, "../library/" .. path, body)))
      end
      assert.same({ success = true }, library("POST", "shards", { shard = "db-a" }))
      assert.same({ "db-a" }, library("GET", "shards"))
      local given = library("POST", "allocate", { primaryKey = "k", strategy = "round-robin", operationType = "write",
        availableShards = { "db-a", "db-b" } }).shard
      assert.equal(given, post("lookup", { key = "k" }).shard)
      assert.equal("OK", library("GET", "health"))
      library("POST", "stats", { shard = "db-b", count = 2 })
      library("POST", "increment", { shard = "db-b" })
      assert.equal(3, library("GET", "stats")[2].count)
      assert.same({ success = true }, library("POST", "flush"))
      assert.same({}, library("GET", "shards"))
    end)

    it("says what is missing", function()
      assert.same({ 400, { error = "Missing or invalid primaryKey parameter" } },
        { ask("POST", "allocate", json.object {}) })
      assert.same({ 400, { error = "No shards available" } }, { ask("POST", "allocate", { primaryKey = "k" }) })
      assert.same({ 400, { error = "Missing or invalid name parameter" } }, { ask("POST", "sequence", json.object {}) })
      assert.same({ 404, "Not Found" }, { ask("PUT", "shards", json.object {}) })
    end)
  end)

  describe("for anyone", function()
    before_each(function()
      for _, name in ipairs { "db-a", "db-b" } do post("shards", { shard = name }) end
    end)

    it("gives a key to whoever claims it first", function()
      local first = post("claim", { key = "k", shard = "db-b" })
      assert.same({ "db-b", 1, true }, { first.shard, first.version, first.claimed })
      local second = post("claim", { key = "k", shard = "db-a" })
      assert.same({ "db-b", 1, false }, { second.shard, second.version, second.claimed })
      assert.is_true(post("claim", { key = "k", keyspace = "users", shard = "db-a" }).claimed)
      local late = post("claim", { key = "other", shard = "db-a", epoch = first.epoch - 1 })
      assert.same({ false, nil, first.epoch }, { late.claimed, late.shard, late.epoch })
      assert.equal(400, (ask("POST", "claim", { key = "x", shard = "nobody" })))
      local digest = core.digest("users", "k"):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
      assert.equal("db-a", post("lookup", { digest = digest }).shard)
    end)

    it("sets an entry whose version is known", function()
      local function set(version, shard)
        local answer = post("compare_and_set", { key = "k", version = version, shard = shard })
        return answer.set, answer.shard, answer.version
      end
      assert.same({ false }, { set(1, "db-a") })
      assert.same({ true, "db-a", 1 }, { set(json.null, "db-a") })
      assert.same({ false, "db-a", 1 }, { set(json.null, "db-b") })
      assert.same({ true, "db-b", 2 }, { set(1, "db-b") })
      assert.same({ false, "db-b", 2 }, { set(1, "db-a") })
    end)

    it("numbers, takes turns and lends", function()
      assert.equal(1, post("number", { name = "n" }).value)
      assert.equal(2, post("number", { name = "n" }).value)
      assert.equal(9, post("number", { name = "n", min = 9 }).value)
      assert.equal(0, post("turn", { name = "t" }).turn)
      assert.equal(1, post("turn", { name = "t", peek = true }).turn)
      assert.equal(1, post("turn", { name = "t" }).turn)
      local lease = post("lease", { name = "work", holder = "me", seconds = 0.3 })
      assert.same({ true, "me" }, { lease.held, lease.holder })
      lease = post("lease", { name = "work", holder = "you", seconds = 5 })
      assert.same({ false, "me" }, { lease.held, lease.holder })
      assert.is_true(post("lease", { name = "work", holder = "me", seconds = 0.3 }).held)
      assert.is_false(post("release", { name = "work", holder = "you" }).released)
      local began = core.now()
      while core.now() - began < 400 do core.pause(50) end
      assert.is_true(post("lease", { name = "work", holder = "you", seconds = 5 }).held)
      assert.is_true(post("release", { name = "work", holder = "you" }).released)
      assert.is_true(post("lease", { name = "work", holder = "me", seconds = 5 }).held)
    end)

    it("lets a token that only reads look, and nothing else", function()
      post("claim", { key = "k", shard = "db-b" })
      assert.equal("db-b", post("lookup", { key = "k" }, gateway.read_token).shard)
      assert.equal(200, (ask("GET", "shards", nil, gateway.read_token)))
      assert.equal(200, (ask("GET", "stats", nil, gateway.read_token)))
      for _, path in ipairs { "claim", "compare_and_set", "number", "turn", "lease", "release", "query", "publish",
        "allot", "allocate", "sequence", "shards", "stats", "flush" } do
        assert.equal(403, (ask("POST", path, { key = "x", name = "x" }, gateway.read_token)), path)
      end
      assert.equal(403, (ask("DELETE", "shards", { shard = "db-a" }, gateway.read_token)))
      assert.equal(401, (ask("GET", "shards", nil, "no-token")))
    end)

    it("says what is wrong with a request, without a failure of its own", function()
      local bad = { { "claim", { key = "k" } }, { "claim", { shard = "db-a" } },
        { "claim", { key = "", shard = "db-a" } },
        { "claim", { key = ("k"):rep(513), shard = "db-a" } }, { "claim", { key = "k", shard = "db-a", epoch = "x" } },
        { "lookup", { digest = "xyz" } }, { "lookup", { key = 17 } }, { "known", { digests = "abc" } },
        { "publish", { digests = ("0"):rep(32), places = {} } }, { "page", { after = "1" } }, { "turn", { name = "" } },
        { "lease", { name = "x", holder = "y", seconds = 0 } }, { "number", { name = "x", min = 0.5 } },
        { "allot", { key = "k" } }, { "compare_and_set", { key = "k", shard = "db-a" } },
        { "query", { sql = "" } }, { "query", { sql = 5 } }, { "query", { sql = "SELECT 1", params = { 5 } } } }
      for _, each in ipairs(bad) do
        local status, value = ask("POST", each[1], each[2])
        assert.same({ 400, "REQUEST" }, { status, value.errors[1].code }, each[1] .. json.encode(each[2]))
      end
      assert.equal(404, (ask("POST", "nothing", json.object {})))
      assert.equal(404, (ask("POST", "claim/more", json.object {})))
      assert.equal(405, (ask("GET", "lookup")))
    end)
  end)

  describe("for Lua programs and Workers together", function()
    it("never gives a key to two shards", function()
      local db = open { strategy = "round_robin", auto_migrate = true }
      db:ensure_schema(SCHEMA)
      for i = 1, 10 do
        local key = "k" .. i
        if i % 2 == 0 then
          db:insert(key, INSERT, { key })
          assert.equal((db:locate(key)), post("allocate", { primaryKey = key }).shard)
        else
          local shard = post("allocate", { primaryKey = key }).shard
          db:insert(key, INSERT, { key })
          assert.same({ shard }, fixture.holders({ "a", "b" }, "users", "id", key))
        end
      end
      assert.same({ a = 5, b = 5 }, select(2, db:count "users"))
      assert.same({}, db:verify().findings)
      -- Shards that only the Worker has get no keys that are shared.
      assert.equal("a", post("allocate", { primaryKey = "x", availableShards = { "a", "z" } }).shard)
      assert.same({ 400, { error = "No shards available" } },
        { ask("POST", "allocate", { primaryKey = "y", availableShards = { "z" } }) })
      assert.equal(409, (ask("DELETE", "shards", { shard = "a" })))
    end)

    it("refuses claims where homes are computed, or where a shard has not been looked at", function()
      local db = open { strategy = "hash", auto_migrate = true }
      db:ensure_schema(SCHEMA)
      local status, value = ask("POST", "allocate", { primaryKey = "k" })
      assert.same({ 409, true }, { status, value.error:find "hash" ~= nil })
      assert.equal(409, (ask("POST", "claim", { key = "k", shard = "a" })))
      db:close()
      post "flush"
      fixture.sqlite("a.db", SCHEMA .. "; INSERT INTO users VALUES ('there', 1)")
      db = open { strategy = "random", auto_migrate = false }
      assert.equal(409, (ask("POST", "claim", { key = "k", shard = "a" })))
      for _, name in ipairs { "a", "b" } do db:integrate(name) end
      assert.is_true(post("claim", { key = "k", shard = "a" }).claimed)
      assert.equal("a", post("lookup", { key = "there" }).shard)
    end)

    it("takes keys by their digest where a mapping_secret hides them", function()
      local db = open { strategy = "random", mapping_secret = "s", auto_migrate = true }
      db:ensure_schema(SCHEMA)
      db:insert("k", INSERT, { "k" })
      assert.equal(409, (ask("POST", "lookup", { key = "k" })))
      assert.equal(409, (ask("POST", "claim", { key = "k", shard = "a" })))
      local digest = core.digest("", "k", "s"):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
      assert.equal((db:locate "k"), post("lookup", { digest = digest }).shard)
    end)

    it("lets a Worker begin, and a Lua program go on", function()
      for _, name in ipairs { "a", "b" } do post("shards", { shard = name }) end
      for _, name in ipairs { "a.db", "b.db" } do fixture.sqlite(name, SCHEMA) end
      local said = {}
      for i = 1, 6 do said["k" .. i] = post("allocate", { primaryKey = "k" .. i }).shard end
      fixture.raises("CONFIG", "mapping_secret", open, { strategy = "round_robin", mapping_secret = "s" })
      local db = open { strategy = "round_robin", auto_migrate = true }
      db:ensure_schema(SCHEMA)
      for key, shard in pairs(said) do
        db:insert(key, INSERT, { key })
        assert.equal(shard, (db:locate(key)))
      end
      assert.same({ a = 3, b = 3 }, select(2, db:count "users"))
      assert.same({}, db:verify().findings)
    end)
  end)
end)
