-- Workers KV through the gateway Worker: as a store, and as where a directory is published.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local gateways = require "spec.support.gateway"
local net = require "collegedb.net"
local reader = require "collegedb.json_reader"

local function hash(text) return (core.sha256(text):gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

describe("Workers KV through the gateway", function()
  local server, gateway, kv

  if gateways.skips(it, function(why) pending(why) end) then return end

  setup(function()
    server = gateways.start { databases = {}, namespaces = { "MAPPINGS" } }
    gateway = collegedb.gateway { url = server.url, token = gateways.token }
    kv = gateway:kv "MAPPINGS"
  end)

  teardown(function()
    net.close()
    server.stop()
  end)

  it("gets, sets, deletes and lists", function()
    local entries, names = {}, {}
    for i = 1, 620 do
      names[i] = "n:" .. i
      entries[i] = { key = names[i], value = "välue \"" .. i .. "\"" }
    end
    kv:put_many(entries)
    names[#names + 1] = names[1] -- twice is once
    local values = kv:get_many(names)
    for _, entry in ipairs(entries) do assert.equal(entry.value, values[entry.key]) end
    local count, cursor = 0, nil
    repeat
      local page
      page, cursor = kv:list("n:", cursor, 300)
      count = count + #page
    until not cursor
    assert.equal(620, count)
    kv:delete_many(names)
    assert.same({}, (kv:list "n:"))
    assert.is_nil(kv:get "n:1")
  end)

  it("refuses what the gateway would", function()
    fixture.raises("USAGE", "two values", kv.put_many, kv, { { key = "a", value = "1" }, { key = "a", value = "2" } })
    fixture.raises("USAGE", "__proto__", kv.get, kv, "__proto__")
    fixture.raises("UNAVAILABLE", "not in COLLEGEDB_NAMESPACES", kv.get, gateway:kv "OTHER", "a")
    fixture.raises("CONFIG", "binding", gateway.kv, gateway, "a/b")
    local reads = collegedb.gateway { url = server.url, token = gateways.read_token }:kv "MAPPINGS"
    assert.is_nil(reads:get "nothing")
    fixture.raises("READONLY", "may only read", reads.put, reads, "a", "b")
  end)

  describe("with the coordinator", function()
    before_each(function()
      net.close()
      fixture.start()
    end)
    after_each(function()
      net.close()
      fixture.stop()
    end)

    local function config(more)
      local given = fixture.config({}, { "one", "two" })
      given.kv, given.coordinator, given.strategy = kv, gateway:coordinator(), "round_robin"
      for name, value in pairs(more or {}) do given[name] = value end
      return given
    end

    it("is where the coordinator's entries are published", function()
      do
        local db <close> = collegedb.open(config())
        db:ensure_schema "CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY)"
        for i = 1, 10 do db:insert("p" .. i, "INSERT INTO people VALUES (?)", { "p" .. i }) end
        for i = 1, 10 do
          assert.equal(db:locate("p" .. i), reader.decode(kv:get("shard:" .. hash("p" .. i))).shard)
        end
        db:reassign_shard("p1", "two")
        assert.equal("two", reader.decode(kv:get("shard:" .. hash "p1")).shard)
        kv:put("shard:" .. hash "theirs", '{"shard":"two","createdAt":1,"updatedAt":1}')
        db:insert("theirs", "INSERT INTO people VALUES ('theirs')")
        assert.equal("two", (db:locate "theirs"))
        assert.is_true(db:verify({}).success)
        assert.same({ "one", "two" }, reader.decode(kv:get "known_shards"))
      end
      net.close()
    end)

    it("is no directory by itself", function()
      local given = config()
      given.coordinator = nil
      fixture.raises("CONFIG", "publish", collegedb.open, given)
      given = config { publish = kv }
      fixture.raises("CONFIG", "publish", collegedb.open, given)
      given = config { coordinator = { turn = function() return 0 end } }
      fixture.raises("CONFIG", "publish", collegedb.open, given)
      given = config { kv = gateway:coordinator() }
      fixture.raises("CONFIG", "coordinator", collegedb.open, given)
    end)
  end)
end)
