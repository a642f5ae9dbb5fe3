-- The mapping cache by itself, through databases of different bounds and a clock that stands still.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("the cache", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open(size, ttl)
    local db = fixture.open { kv = "memory:", mapping_cache_size = size, mapping_cache_ttl = ttl,
      shards = { a = ":memory:", b = ":memory:", c = ":memory:" } }
    core.set_clock(db, 1000)
    return db
  end

  -- Locates keys from one number to another; how many of them the cache knew.
  local function look(db, from, to)
    local before = core.cache_stats(db).hits
    for i = from, to do db:locate("k" .. i) end
    return core.cache_stats(db).hits - before
  end

  it("knows what was asked before, and gives the same answer", function()
    local db = open(1000, 30)
    local answers = {}
    for i = 1, 500 do answers[i] = db:locate("k" .. i) end
    assert.equal(500, core.cache_stats(db).misses)
    assert.is_true(look(db, 1, 500) >= 490)
    for i = 1, 500 do assert.equal(answers[i], (db:locate("k" .. i))) end
  end)

  it("holds close to its bound, and not more than a quarter above it", function()
    for _, size in ipairs { 100, 1000, 10000 } do
      -- Where a key lies depends on a seed of chance: what a small cache holds is told by several.
      local known, times = 0, size == 100 and 30 or 1
      for _ = 1, times do
        local db = open(size, 30)
        look(db, 1, size)
        known = known + look(db, 1, size)
        look(db, 1, 5 * size)
        local stats = core.cache_stats(db)
        assert.is_true(stats.entries <= size * 5 // 4 + 64)
        assert.is_true(stats.bytes <= 32 * size + 2000)
        assert.is_true(stats.evictions > 0)
        db:close()
      end
      assert.is_true(known > 0.95 * size * times, "of " .. size)
    end
  end)

  it("forgets what ends first when it is full", function()
    local db = open(1000, 30)
    for i = 1, 20 do
      core.set_clock(db, 1000 + i * 100)
      look(db, i * 1000 + 1, i * 1000 + 1000)
    end
    local recent, old = look(db, 20001, 21000), look(db, 1001, 2000)
    assert.is_true(recent > 900, "recent: " .. recent)
    assert.is_true(old < 100, "old: " .. old)
  end)

  it("forgets at the end of the life, and not before", function()
    local db = open(1000, 10)
    look(db, 1, 100)
    core.set_clock(db, 10999)
    assert.equal(100, look(db, 1, 100))
    core.set_clock(db, 11000)
    assert.equal(0, look(db, 1, 100))
    assert.equal(100, look(db, 1, 100))
  end)

  it("does not lengthen a life by asking", function()
    local db = open(1000, 10)
    look(db, 1, 1)
    for now = 2000, 10000, 1000 do
      core.set_clock(db, now)
      assert.equal(1, look(db, 1, 1))
    end
    core.set_clock(db, 11000)
    assert.equal(0, look(db, 1, 1))
  end)

  it("reuses the room of what has ended", function()
    local db = open(1000, 10)
    for i = 0, 19 do
      core.set_clock(db, 1000 + i * 20000)
      look(db, i * 1000 + 1, i * 1000 + 1000)
    end
    assert.is_true(core.cache_stats(db).evictions < 400) -- of 19,000 that would be too many for 1,250 slots
    assert.is_true(core.cache_stats(db).bytes <= 34000)
  end)

  it("keeps a very long life", function()
    for _, ttl in ipairs { 1e6, 1e9, 1e10 } do
      local db = open(1000, ttl)
      look(db, 1, 50)
      core.set_clock(db, 1000 + 3600 * 1000 * 24 * 365)
      assert(look(db, 1, 50) == (ttl > 4e7 and 50 or 0), "life of " .. ttl)
    end
  end)

  it("is empty after a flush", function()
    local db = open(1000, 30)
    look(db, 1, 100)
    db:flush_cache()
    assert.equal(0, core.cache_stats(db).entries)
    assert.equal(0, look(db, 1, 100))
    assert.equal(100, look(db, 1, 100))
  end)

  it("forgets one key when it is told to", function()
    local db = open(1000, 30)
    look(db, 1, 10)
    core.forget(db, "", "k3")
    core.forget(db, "", "never seen")
    assert.equal(9, look(db, 1, 10))
    assert.equal(10, look(db, 1, 10))
  end)

  it("keeps keyspaces apart", function()
    local db = open(1000, 30)
    db:ensure_schema "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE u (id INTEGER PRIMARY KEY)"
    local before = core.cache_stats(db).misses
    for i = 1, 100 do
      db:locate(i, "t")
      db:locate(i, "u")
      db:locate(tostring(i))
    end
    assert.equal(300, core.cache_stats(db).misses - before)
  end)
end)
