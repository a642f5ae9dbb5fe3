-- ctx.turn: each turn that is spent has its key, whatever comes between.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"

local function insert(db, key) return db:insert(key, INSERT, { key }).meta.served_by end

local function counter(name)
  local row = fixture.rows("directory.db", "SELECT value AS n FROM _collegedb_counters WHERE name = ?",
    { "turn:" .. name })[1]
  return row and row.n or 0
end

local function entries() return fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n end

-- May another program write to the directory now?
local function is_free()
  local other = core.sqlite(fixture.path "directory.db", { busy_timeout_ms = 0 })
  local done, err = pcall(other.exec, other, "BEGIN IMMEDIATE; ROLLBACK")
  core.close(other)
  assert(done or err.code == "BUSY", err)
  return done
end

local function by_turns(_, shards, ctx) return shards[ctx.turn "t" % #shards + 1].name end

describe("a turn", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is spent by the one of several processes whose claim of a key stands", function()
    local names = { "a", "b", "c" }
    fixture.database(SCHEMA, { strategy = "round_robin" }, names):close()
    fixture.together(4, [[
      local me = tonumber(arg[1])
      local db <close> = collegedb.open { kv = folder .. "/directory.db", strategy = "round_robin", shards = {
        a = folder .. "/a.db", b = folder .. "/b.db", c = folder .. "/c.db" } }
      wait_for_go()
      for i = 1, 100 do
        local key = "u" .. (i + me // 3)
        local ok, e = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 1)", { key })
        if not ok and e.code ~= "CONSTRAINT" then error(e) end
      end
    ]])
    assert.equal(101, entries())
    assert.equal(101, counter "round_robin")
    local _, by_shard = fixture.open(fixture.config({ strategy = "round_robin" }, names)):count "users"
    assert.same({ a = 34, b = 34, c = 33 }, by_shard)
  end)

  it("is given back when another program was first", function()
    local other
    local db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      if key == "raced" and other then
        local first = other
        other = nil
        insert(first, "raced")
      end
      return by_turns(key, shards, ctx)
    end })
    other = fixture.open(fixture.config { strategy = by_turns })
    assert.equal("a", insert(db, "u1"))
    fixture.raises("CONSTRAINT", nil, insert, db, "raced")
    assert.same({ "b", "directory" }, { db:locate "raced" })
    assert.equal(2, counter "t")
    assert.equal("a", insert(db, "u2"))
  end)

  it("is given back when the epoch changed, and the strategy is asked again", function()
    local other, asked = nil, 0
    local db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      asked = asked + 1
      if asked == 1 then other:integrate "a" end
      return by_turns(key, shards, ctx)
    end })
    other = fixture.open(fixture.config { strategy = by_turns })
    assert.equal("a", insert(db, "u1"))
    assert.equal(2, asked)
    assert.equal(1, counter "t")
  end)

  for what, case in pairs {
    ["raises"] = { function() error "boom" end, "SCRIPT" },
    ["names no shard"] = { function() return "nowhere" end, "SCRIPT" },
    ["returns nothing"] = { function() end, "SCRIPT" },
    ["never returns"] = { function() while true do end end, "SCRIPT" },
  } do
    it("is given back when the strategy " .. what, function()
      local wrong = true
      local db = fixture.database(SCHEMA, { script_limit = 100000, strategy = function(key, shards, ctx)
        local answer = by_turns(key, shards, ctx)
        if wrong then return case[1]() end
        return answer
      end })
      for i = 1, 3 do fixture.raises(case[2], nil, insert, db, "u" .. i) end
      assert.is_true(is_free())
      assert.equal(0, counter "t")
      wrong = false
      assert.same({ "a", "b" }, { insert(db, "u1"), (insert(db, "u2")) })
      assert.same({ 2, 2 }, { counter "t", entries() })
    end)
  end

  it("leaves no lock behind at whichever instruction the strategy is stopped", function()
    local db = fixture.database(SCHEMA, { strategy = by_turns })
    for limit = 1, 80 do
      core.state(db).config.script_limit = limit
      local done, err = pcall(insert, db, "u" .. limit)
      assert(done or err.code == "SCRIPT", err)
      assert.is_true(is_free(), limit)
      assert.equal(entries(), counter "t")
    end
    assert.is_true(entries() > 0 and entries() < 80, entries())
  end)

  it("of a strategy that catches what stops it is spent at most once for a key", function()
    local pcall = pcall -- a global of busted's costs instructions
    local db = fixture.database(SCHEMA, { strategy = function(_, shards, ctx)
      pcall(ctx.turn, "t")
      return shards[1].name
    end })
    for limit = 1, 80 do
      core.state(db).config.script_limit = limit
      pcall(insert, db, "u" .. limit)
      assert.is_true(is_free(), limit)
      assert.is_true(counter "t" <= entries())
    end
    assert.is_true(entries() > 0)
  end)

  it("locks the directory from the first one to the claim, and not without one", function()
    local seen = {}
    local db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      seen[#seen + 1] = is_free()
      if key ~= "none" then ctx.turn() end
      seen[#seen + 1] = is_free()
      return shards[1].name
    end })
    insert(db, "none")
    insert(db, "one")
    db:first("reads", "SELECT 1 FROM users WHERE id = 'reads'")
    assert.same({ true, true, true, false, true, true }, seen)
    assert.is_true(is_free())
    assert.equal(1, counter "default")
  end)

  it("is one for each call, by name", function()
    local seen = {}
    local db = fixture.database(SCHEMA, { strategy = function(_, shards, ctx)
      seen[#seen + 1] = { ctx.turn(), ctx.turn "x'; --", ctx.turn "x'; --", ctx.turn "\0" }
      return shards[1].name
    end })
    insert(db, "u1")
    insert(db, "u2")
    assert.same({ { 0, 0, 1, 0 }, { 1, 2, 3, 1 } }, seen)
    for _, name in ipairs { {}, 5, true } do
      local odd = fixture.open(fixture.config { strategy = function(_, _, ctx) return ctx.turn(name) end })
      fixture.raises("USAGE", "ctx.turn takes a name", insert, odd, "u3")
      fixture.raises("USAGE", "ctx.turn takes a name", odd.first, odd, "u3", "SELECT 1 FROM users")
      odd:close()
    end
  end)

  it("is not to be had after the strategy has returned", function()
    local kept
    local db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      kept = kept or ctx
      return by_turns(key, shards, ctx)
    end })
    insert(db, "u1")
    fixture.raises("USAGE", "has returned", kept.turn, "t")
    assert.is_true(is_free())
    insert(db, "u2")
    assert.equal(2, counter "t")
  end)

  it("may be taken after the strategy has used the database, which goes on reading then", function()
    local db
    db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      if key == "u1" then
        insert(db, "before") -- a key of its own, with a turn of its own
        local name = by_turns(key, shards, ctx)
        assert(db:first("before", "SELECT n FROM users WHERE id = 'before'").n == 1)
        assert(not db:first("nobody", "SELECT n FROM users WHERE id = 'nobody'"))
        assert(db:update_by_primary_key("before", "UPDATE users SET n = 2 WHERE id = 'before'").meta.changes == 1)
        return name
      end
      return by_turns(key, shards, ctx)
    end })
    assert.equal("b", insert(db, "u1"))
    assert.same({ "a", "claimed" }, { db:locate "before" })
    assert.equal(2, counter "t")
  end)

  it("keeps the strategy from giving other keys a place until it returns", function()
    local db, catches
    db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      if key ~= "outer" then return shards[1].name end
      local name = by_turns(key, shards, ctx)
      local done, err = pcall(insert, db, "inner")
      if not done and not catches then error(err, 0) end
      return name
    end })
    fixture.raises("USAGE", "may not insert another new key", insert, db, "outer")
    assert.same({ 0, 0 }, { counter "t", entries() })
    catches = true
    assert.equal("a", insert(db, "outer"))
    assert.same({ 1, 1, 1 }, { counter "t", entries(), (db:count "users") })
  end)

  it("ends with a database that the strategy closes", function()
    local db
    db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      local name = by_turns(key, shards, ctx)
      db:close()
      return name
    end })
    fixture.raises("CLOSED", nil, insert, db, "u1")
    assert.is_true(is_free())
    assert.same({ 0, 0 }, { counter "t", entries() })
  end)

  it("that could not be had, because another program held the directory, keeps nothing from going on", function()
    local release
    local db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      if not release then return by_turns(key, shards, ctx) end
      local done, err = pcall(ctx.turn, "t")
      assert(not done and err.code == "BUSY", err)
      release()
      release = nil
      return key == "again" and by_turns(key, shards, ctx) or shards[2].name
    end })
    core.state(db).directory.shard:first "PRAGMA busy_timeout = 0"
    for key, turns in pairs { without = 0, again = 1 } do
      local holder = core.sqlite(fixture.path "directory.db", {})
      local tx = core.begin(holder)
      release = function()
        core.rollback(tx)
        core.close(holder)
      end
      local before = counter "t"
      insert(db, key)
      assert.equal(before + turns, counter "t")
    end
    assert.equal(2, entries())
  end)

  it("dies with a process that is killed between the turn and the claim", function()
    fixture.database(SCHEMA, { strategy = by_turns }):close()
    local pipe = fixture.spawn [[
      local db = collegedb.open { kv = folder .. "/directory.db",
        shards = { a = folder .. "/a.db", b = folder .. "/b.db" },
        strategy = function(key, shards, ctx)
          local name = shards[ctx.turn "t" % 2 + 1].name
          if key == "u3" then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
          return name
        end }
      for i = 1, 3 do db:insert("u" .. i, "INSERT INTO users VALUES (?, 1)", { "u" .. i }) end
    ]]
    pipe:read "a"
    pipe:close()
    assert.is_true(is_free())
    assert.same({ 2, 2 }, { counter "t", entries() })
    local db = fixture.open(fixture.config { strategy = by_turns })
    assert.equal("a", insert(db, "u3"))
  end)
end)
