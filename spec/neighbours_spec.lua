-- A program with the TypeScript library and ours, on the same D1 databases and the same Workers KV; on Cloudflare's
-- own engine. The other program is spec/engine/neighbour_worker.js.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local hash_compat = require "collegedb.strategies.hash_compat"
local neighbour = require "spec.support.neighbour"
local net = require "collegedb.net"

local INSERT <const> = "INSERT INTO people (name, by) VALUES (?, ?)"
local SELECT <const> = "SELECT by FROM people WHERE name = ?"

describe("neighbours with the TypeScript library", function()
  local other, opened

  if neighbour.skips(it, function(why) pending(why) end) then return end

  setup(function() other = neighbour.start(3) end)
  teardown(function() other:stop() end)

  before_each(function()
    other:control {}
    net.close()
    fixture.start()
    opened = {}
  end)

  after_each(function()
    for _, db in ipairs(opened) do db:close() end
    net.close()
    fixture.stop()
  end)

  local function config()
    local shards = {}
    for i, name in ipairs(other.databases) do shards[i] = { name = name, collegedb.d1(other:database(i)) } end
    local namespace = other:namespace()
    namespace.account = nil -- its requests are counted
    return { kv = fixture.path "directory.db", shards = shards, strategy = "hash_compat", directory = "full",
      keyspaces = false, auto_migrate = true, publish = collegedb.cloudflare_kv(namespace) }
  end

  local function open(more)
    local given = config()
    for name, value in pairs(more or {}) do given[name] = value end
    local db = collegedb.open(given)
    opened[#opened + 1] = db
    db:ensure_schema [[CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY, by TEXT);
      CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, by TEXT)]]
    return db
  end

  local function home(key) return other.databases[hash_compat.hash(key) % 3 + 1] end
  local function theirs(key, sql, params, others)
    return other:call("statement", { key = key, sql = sql, params = params, others = others })
  end
  local function insert_theirs(key, others) return theirs(key, INSERT, { key, "them" }, others) end
  local function insert_ours(db, key) return db:insert(key, INSERT, { key, "us" }) end

  -- On which databases the key has rows.
  local function holders(db, key)
    local found = {}
    for _, name in ipairs(other.databases) do
      if db:shard(name):first(SELECT, { key }) then found[#found + 1] = name end
    end
    return table.concat(found, " ")
  end

  it("find each other's keys, hundreds both ways, and place none elsewhere than the other", function()
    local db, calls, keys = open(), {}, {}
    for i = 1, 300 do
      keys[i] = (i % 3 == 0 and "größe-%d-%d" or i % 3 == 1 and "key-%d-%d" or "😀%d:%d"):format(i, i * 7919)
      if i % 2 == 0 then insert_ours(db, keys[i]) end
      if i % 2 == 1 then calls[#calls + 1] = { key = keys[i], sql = INSERT, params = { keys[i], "them" } } end
      if i % 50 == 0 then
        other:call("many", { calls = calls })
        calls = {}
      end
    end
    for i, key in ipairs(keys) do
      assert.equal(i % 2 == 0 and "us" or "them", db:first(key, SELECT, { key }).by, key)
      calls[i] = { key = key, sql = SELECT, params = { key } }
    end
    for i, answer in ipairs(other:call("many", { calls = calls }).answers) do
      assert.equal(i % 2 == 0 and "us" or "them", answer.results[1].by)
      assert.is_true(answer.known)
      assert.equal(home(keys[i]), answer.shard)
      assert.equal(home(keys[i]), (db:locate(keys[i])))
    end
    assert.is_true(db:verify({}).success)
  end)

  it("agree on new keys while KV shows neither what the other has written", function()
    local db = open()
    other:control { freeze = true }
    for i = 1, 40 do
      local key = "new" .. i
      if i % 2 == 0 then insert_ours(db, key) else insert_theirs(key) end
      local at = theirs(key, "UPDATE people SET by = by || '!' WHERE name = ?", { key })
      assert.equal(1, at.changes)
      assert.equal(1, db:run(key, "UPDATE people SET by = by || '?' WHERE name = ?", { key }).meta.changes)
      assert.equal(home(key), holders(db, key))
    end
    other:control {}
    assert.is_true(db:verify({}).success)
  end)

  it("agree with a directory in D1", function()
    local db = open { kv = collegedb.d1(other:database()) }
    for i = 1, 12 do
      local key = "d1-" .. i
      if i % 2 == 0 then insert_ours(db, key) else insert_theirs(key) end
      local to = other.databases[hash_compat.hash(key) % 3 == 0 and 2 or 1]
      if i % 3 == 0 then db:reassign_shard(key, to) end
      assert.equal(i % 3 == 0 and to or home(key), theirs(key, SELECT, { key }).shard)
      assert.equal(i % 2 == 0 and "us" or "them", theirs(key, SELECT, { key }).results[1].by)
      assert.equal(i % 2 == 0 and "us" or "them", db:first(key, SELECT, { key }).by)
    end
    assert.is_true(db:verify({}).success)
  end)

  it("know integer keys by their digits", function()
    local db = open()
    for i = 1, 20 do
      if i % 2 == 0 then db:insert(i, "INSERT INTO orders VALUES (?, 'us')", { i })
      else theirs(tostring(i), "INSERT INTO orders VALUES (CAST(? AS INTEGER), 'them')", { tostring(i) }) end
    end
    for i = 1, 20 do
      local who = i % 2 == 0 and "us" or "them"
      assert.equal(who, db:first(i, "SELECT by FROM orders WHERE id = ?", { i }).by)
      local sql = "SELECT by FROM orders WHERE id = CAST(? AS INTEGER)"
      assert.equal(who, theirs(tostring(i), sql, { tostring(i) }).results[1].by)
    end
    assert.is_true(db:verify({}).success)
  end)

  it("follow each other's moves", function()
    local db = open()
    for i = 1, 6 do
      local key = "moved" .. i
      if i <= 3 then insert_ours(db, key) else insert_theirs(key) end
      local to = other.databases[hash_compat.hash(key) % 3 == 0 and 2 or 1]
      if i % 2 == 0 then db:reassign_shard(key, to) end
      if i == 5 then other:call("move", { key = key, table = "people", column = "name", shard = to }) end
      local at = (i % 2 == 0 or i == 5) and to or home(key)
      assert.equal(at, theirs(key, SELECT, { key }).shard)
      assert.equal(i <= 3 and "us" or "them", theirs(key, SELECT, { key }).results[1].by)
      assert.equal(i <= 3 and "us" or "them", db:first(key, SELECT, { key }).by)
      assert.equal(at, holders(db, key))
    end
    assert.is_true(db:verify({}).success)
  end)

  it("move all names of a key", function()
    local db = open()
    insert_theirs("Cleo", { "cleo@example.com", "cleo" })
    assert.equal("them", db:first("cleo@example.com", SELECT, { "Cleo" }).by)
    local to = other.databases[hash_compat.hash "Cleo" % 3 == 0 and 2 or 1]
    db:reassign_shard("Cleo", to)
    for _, name in ipairs { "Cleo", "cleo@example.com", "cleo" } do
      assert.equal(to, theirs(name, SELECT, { "Cleo" }).shard)
      assert.equal("them", theirs(name, SELECT, { "Cleo" }).results[1].by)
    end
  end)

  it("are refused where a key was, as long as KV is old", function()
    local db = open()
    insert_ours(db, "Dora")
    assert.equal("us", theirs("Dora", SELECT, { "Dora" }).results[1].by)
    other:control { freeze = true }
    local to = other.databases[hash_compat.hash "Dora" % 3 == 0 and 2 or 1]
    db:reassign_shard("Dora", to)
    local done, err = pcall(insert_theirs, "Dora")
    assert.is_false(done)
    assert.equal(500, err.http_status)
    assert.same({}, theirs("Dora", SELECT, { "Dora" }).results) -- a read may miss
    assert.equal("us", db:first("Dora", SELECT, { "Dora" }).by)
    assert.equal(to, holders(db, "Dora"))
    other:control {}
    assert.equal("us", theirs("Dora", SELECT, { "Dora" }).results[1].by)
  end)

  it("see what a program has decided that was killed, when another has published it", function()
    local db = open()
    local namespace = other:namespace()
    local form = core.sha256("Emil"):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    other:control { fail = { ["shard:" .. form] = 1000 } }
    local pipe = fixture.spawn([[
      local shards = {}
      for i = 1, 3 do
        shards[i] = { name = arg[i + 1], collegedb.d1 { database = arg[i + 1], endpoint = arg[1] } }
      end
      local db = collegedb.open { kv = folder .. "/directory.db", shards = shards, strategy = "round_robin",
        keyspaces = false, directory = "full", on_event = function(event)
          if event.event == "unpublished" then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
        end,
        publish = collegedb.cloudflare_kv { namespace = arg[5], token = arg[6], endpoint = arg[7] } }
      db:insert("Emil", "INSERT INTO people (name, by) VALUES ('Emil', 'us')")]], other.url .. "/cdn-cgi/explorer/api",
      other.databases[1], other.databases[2], other.databases[3], namespace.namespace, namespace.token,
      namespace.endpoint)
    pipe:read "a"
    pipe:close()
    other:control {}
    assert.is_nil(other:call("mapping", { key = "Emil" }).mapping)
    local at = db:locate "Emil"
    assert.is_string(at)
    insert_ours(db, "Emil") -- there are no rows yet, and an entry has no key to be found by
    assert.equal(at, (db:locate "Emil"))
    db:publish()
    assert.equal(at, other:call("mapping", { key = "Emil" }).mapping.shard)
  end)
end)
