-- A D1 database as the directory, on Cloudflare's own engine.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local engine = require "spec.support.engine"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"

local SCHEMA <const> = [[CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT);
  CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE)]]
local INSERT <const> = "INSERT INTO users VALUES (?, 'Ada')"

describe("a D1 database as the directory", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local endpoint, names, used
  setup(function()
    used = 0
    endpoint, names = engine.start(8)
  end)
  teardown(function()
    net.close()
    engine.stop()
  end)
  before_each(fixture.start)
  after_each(fixture.stop)

  local function d1()
    used = used + 1
    return collegedb.d1 { database = names[used], endpoint = endpoint }
  end

  local function move(db, key)
    local at = db:locate(key)
    assert.is_true(db:reassign_shard(key, at == "a" and "b" or "a").moved)
    assert.equal(at == "a" and "b" or "a", (db:locate(key)))
  end

  local function live(db)
    db:ensure_schema(SCHEMA)
    for i = 1, 12 do db:insert("k" .. i, INSERT, { "k" .. i }) end
    db:insert("k1", "INSERT INTO orders VALUES (7, 'k1')")
    move(db, "k1")
    assert.equal("Ada", db:first("k1", "SELECT name FROM users WHERE id = 'k1'").name)
    assert.same({}, db:verify().findings)
  end

  it("serves shards in files, under hash and while they grow", function()
    local kv = d1()
    local db = fixture.open(fixture.config { kv = kv })
    assert.equal("collegedb (2 shards, directory d1 " .. names[used] .. ")", tostring(db))
    live(db)
    db:add_shard { name = "c", fixture.path "c.db" }
    assert.is_true(db:rebalance().retired)
    local other = fixture.open(fixture.config { kv = kv }) -- it learns of c from the directory
    for i = 1, 12 do
      assert.equal((db:locate("k" .. i)), (other:locate("k" .. i)))
      assert(other:first("k" .. i, "SELECT name FROM users WHERE id = ?", { "k" .. i }))
    end
    assert.is_true(other:drain("a").sealed)
    assert.same({}, other:verify().findings)
    assert.equal(12, (db:count "users"))
  end)

  it("gives turns, and takes existing data over", function()
    fixture.sqlite("a.db", SCHEMA .. "; INSERT INTO users VALUES ('old1', 'x'), ('both', 'x')")
    fixture.sqlite("b.db", SCHEMA .. "; INSERT INTO users VALUES ('old2', 'x'), ('both', 'x')")
    local kv, events = d1(), {}
    local db = fixture.open(fixture.config { kv = kv, strategy = "round_robin", auto_migrate = "background",
      on_event = function(event) events[event.event] = event.message end })
    assert.matches("no file", events.foreground)
    assert.equal("a", (db:locate "old1"))
    assert.equal("b", (db:locate "old2"))
    assert.equal("a", (db:locate "both"))
    for i = 1, 4 do db:insert("k" .. i, INSERT, { "k" .. i }) end
    assert.same({ "a", "b", "a", "b" }, { (db:locate "k1"), (db:locate "k2"), (db:locate "k3"), (db:locate "k4") })
    assert.equal(1, db:rollback("b").entries_removed)
    assert.equal("both", db:integrate("b").conflicts[1].key)
    db:close()
    assert.is_false(collegedb.check_migration_needed(fixture.path "a.db", "a",
      fixture.config { kv = kv, strategy = "round_robin" }))
    fixture.raises("CONFIG", "mapping_secret", collegedb.open, fixture.config { kv = kv, mapping_secret = "s" })
  end)

  it("serves shards in D1", function()
    local kv, a, b = d1(), d1(), d1()
    local db = fixture.open { kv = kv, shards = { { name = "a", a }, { name = "b", b } }, auto_migrate = true }
    live(db)
    db:close()
    db = fixture.open { kv = kv, shards = { { name = "a", a }, { name = "b", b } }, auto_migrate = true }
    assert.equal(12, (db:count "users"))
    fixture.raises("CONFIG", "kv has already", collegedb.open, { kv = kv, shards = { { name = "a", kv } } })
  end)

  it("gives each key one shard, on which eight programs agree, and each key one turn", function()
    local kv = d1()
    local shards = { "a", "b", "c" }
    local db = fixture.open(fixture.config({ kv = kv, strategy = "round_robin" }, shards))
    db:ensure_schema(SCHEMA)
    local outputs = fixture.together(8, ([[
      local kv = collegedb.d1 { database = %q, endpoint = %q }
      local db = collegedb.open { kv = kv, strategy = "round_robin", auto_migrate = true, shards = {
        { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" }, { name = "c", folder .. "/c.db" } } }
      wait_for_go()
      for i = 1, 30 do
        local key = "k" .. (i * 7 + arg[1]) %% 45
        local done, err = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 'Ada')", { key })
        if not done and err.code ~= "CONSTRAINT" then error(err, 0) end
        print(key, (db:locate(key)))
      end
      db:close()
    ]]):format(names[used], endpoint), 120)
    local said, found, on = {}, 0, { a = 0, b = 0, c = 0 }
    for _, output in ipairs(outputs) do
      for key, shard in output:gmatch "(k%d+)\t(%w+)\n" do
        assert.equal(said[key] or shard, shard, key)
        said[key] = shard
      end
    end
    for key, shard in pairs(said) do
      assert.same({ shard }, fixture.holders(shards, "users", "id", key))
      found, on[shard] = found + 1, on[shard] + 1
    end
    assert.same({ 45, { a = 15, b = 15, c = 15 } }, { found, on })
    assert.same({}, db:verify().findings)
  end)

  it("is a mapper's", function()
    local kv = d1()
    local mapper = fixture.track(collegedb.KVShardMapper(kv))
    mapper:set_known_shards { "one", "two" }
    mapper:set_shard_mappings_batch { { "x", "one" }, { "y", "two" } }
    mapper:update_shard_mapping("x", "two")
    assert.same({ shard = "two", version = 2 }, mapper:get_shard_mapping "x")
    assert.same({ one = 0, two = 2 }, mapper:get_shard_key_counts())
    assert.is_true(mapper:delete_shard_mapping "x")
    assert.equal(1, mapper:clear_all_mappings())
    assert.is_nil(mapper:get_shard_mapping "y")
    mapper:set_known_shards { "two" }
    assert.same({ "two" }, mapper:get_known_shards())
  end)

  it("that is deleted and made anew is noticed", function()
    local kv = d1()
    local db = fixture.open(fixture.config { kv = kv })
    db:ensure_schema(SCHEMA)
    local handle = kv:open "wipe"
    for _, row in ipairs(handle:all "SELECT name, type FROM sqlite_schema WHERE substr(name, 1, 10) = '_collegedb'") do
      if row.type == "table" or row.type == "view" then handle:run(("DROP %s %s"):format(row.type, row.name)) end
    end
    core.close(handle)
    local other = fixture.open(fixture.config { kv = kv })
    fixture.raises("UNAVAILABLE", "deleted or replaced", db.ensure_schema, db, SCHEMA)
    other:close()
  end)
end)
