-- Moving groups to, from and between D1 databases, on Cloudflare's own engine.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local engine = require "spec.support.engine"
local errors = require "collegedb.errors"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"
local single = require "spec.support.single"

describe("moving keys of D1 databases", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local DATABASES <const> = 8
  local endpoint, names, used

  setup(function()
    endpoint, names = engine.start(DATABASES)
    used = 0
  end)
  teardown(function()
    net.close()
    engine.stop()
  end)
  before_each(fixture.start)
  after_each(fixture.stop)

  local function database()
    used = used + 1
    return collegedb.d1 { database = assert(names[used]), endpoint = endpoint }
  end

  -- Of the shards a, b and c those in `d1` are D1 databases.
  local function config(d1, extra)
    local settings = fixture.config(extra, { "a", "b", "c" })
    for _, shard in ipairs(settings.shards) do shard[1] = d1[shard.name] or shard[1] end
    return settings
  end

  local function make(db, from)
    local key = fixture.key_on(db, "a", from)
    db:insert(key, "INSERT INTO users VALUES (?, ?, 1)", { key, key .. "@x" })
    for i, value in ipairs(single.VALUES) do
      local id = (from or 1) * 100 + i
      db:insert(key, "INSERT INTO orders VALUES (?, ?, ?)", { id, key, value })
      db:insert(key, "INSERT INTO items VALUES (?, 1, ?)", { id, collegedb.blob("b\0" .. i) })
    end
    return key
  end

  local function contents(db, key)
    return { db:all(key, "SELECT *, typeof(n) AS kind FROM users WHERE id = ?", { key }),
      db:all(key, "SELECT *, typeof(v) AS kind FROM orders WHERE user_id = ? ORDER BY id", { key }),
      db:all(key, [[SELECT i.*, typeof(i.v) AS kind FROM orders AS o JOIN items AS i ON i.order_id = o.id
        WHERE o.user_id = ? ORDER BY i.order_id]], { key }) }
  end

  local function open(d1, extra)
    local db = fixture.open(config(d1, extra))
    db:ensure_schema(single.SHOP)
    return db
  end

  it("takes every value along as it was, also to a file and back; others follow", function()
    local d1 = { a = database(), b = database() }
    local db = open(d1)
    local key = make(db)
    local before = contents(db, key)
    local other = fixture.open(config(d1))
    local strict = fixture.open(config(d1, { consistency = "strict", mapping_cache_ttl = 1000 }))
    for i, name in ipairs { "b", "c", "a", "b" } do
      assert.same(before, contents(other, key))
      assert.same(before, contents(strict, key))
      assert.is_true(db:reassign_shard(key, name).moved)
      assert.equal(name, (db:locate(key)))
      assert.same(before, contents(db, key))
      assert.same(before, contents(strict, key))
      assert.equal(1, other:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes)
      before[1][1].n = i + 1
      assert.same(before, contents(other, key))
      for _, from in ipairs { "a", "b", "c" } do
        local n = db:shard(from):first("SELECT count(*) AS n FROM orders").n
        assert.equal(from == name and #single.VALUES or 0, n)
      end
    end
    assert.same({}, db:verify().findings)
  end)

  it("is refused where D1 would refuse the rows, and all is as it was", function()
    local db = open { b = database() }
    local key = make(db)
    local before = contents(db, key)
    db:shard("b"):run("INSERT INTO users VALUES ('z', ?, 1)", { key .. "@x" })
    fixture.raises("CONFLICT", "mail", db.reassign_shard, db, key, "b")
    db:shard("b"):run "DELETE FROM users"
    db:shard("a"):run "DELETE FROM users"
    fixture.raises("CONSTRAINT", "foreign keys", db.reassign_shard, db, key, "b")
    db:insert(key, "INSERT INTO users VALUES (?, ?, 1)", { key, key .. "@x" })
    assert.same(before, contents(db, key))
    assert.is_true(db:reassign_shard(key, "b").moved)
    assert.same(before, contents(db, key))
    db:insert(key, "INSERT INTO orders VALUES (999, ?, 'after')", { key })
    assert.is_true(db:reassign_shard(key, "a").moved)
  end)

  it("goes on when the answer of any statement is lost", function()
    local db = open { a = database(), b = database() }
    local run, n, calls, lost_at = core.shard_methods.run, 1, 1, 0
    local key = make(db)
    local before = contents(db, key)
    db:reassign_shard(key, "b") -- the fence is up
    while n <= calls do
      calls = 0
      function core.shard_methods.run(handle, ...) -- luacheck: ignore 122
        if not core.is_single(handle) then return run(handle, ...) end
        calls = calls + 1
        local result = run(handle, ...)
        if calls ~= n then return result end
        lost_at = lost_at + 1
        errors.raise("OUTCOME_UNKNOWN", nil, "the answer was lost")
      end
      local moved, err = pcall(db.reassign_shard, db, key, n % 2 == 1 and "a" or "b")
      core.shard_methods.run = run -- luacheck: ignore 122
      assert(moved, ("statement %d: %s"):format(n, tostring(err)))
      assert.same(before, contents(db, key))
      n = n + 1
    end
    assert.is_true(lost_at > 5)
    assert.same({}, db:verify().findings)
  end)

  it("rebalances to one that is added, and drains it", function()
    local db = open { a = database() }
    local keys = {}
    for i = 1, 30 do
      keys[i] = "user" .. i
      db:insert(keys[i], "INSERT INTO users VALUES (?, ?, 0)", { keys[i], keys[i] })
    end
    db:add_shard { name = "d", database() }
    assert.is_true(db:rebalance().success)
    assert.is_true(db:shard("d"):first("SELECT count(*) AS n FROM users").n > 0)
    local report = db:drain "a"
    assert.is_true(report.success)
    assert.equal(0, db:shard("a"):first("SELECT count(*) AS n FROM users").n)
    for _, key in ipairs(keys) do
      assert.equal(key, db:first(key, "SELECT mail FROM users WHERE id = ?", { key }).mail)
    end
    fixture.raises("MOVED", nil, function() db:shard("a"):run "INSERT INTO users VALUES ('new', 'new', 0)" end)
    assert.same({}, db:verify().findings)
  end)
end)
