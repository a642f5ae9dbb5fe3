-- Strategy and rules files that change while a database is open: taken at the next epoch.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"

local function insert(db, key)
  return db:insert(key, "INSERT INTO users VALUES (?, 1)", { key }).meta.served_by
end

local function write(path, text)
  os.execute("mkdir -p " .. fixture.path(path:match "^(.*)/"))
  fixture.write(path, text)
end

local function places_on(shard, more)
  return ("%s\nreturn { api = 1, select = function() return %q end }"):format(more or "", shard)
end

describe("a script whose file changes", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function config(extra)
    local given = fixture.config(extra or { strategy = "mine" })
    given.script_dirs = { fixture.path "first", fixture.path "second" }
    return given
  end

  local function open(extra)
    local db = fixture.open(config(extra))
    db:ensure_schema(SCHEMA)
    return db
  end

  -- Another program makes the next epoch.
  local function next_epoch(extra)
    local other <close> = collegedb.open(config(extra))
    other:integrate "a"
  end

  it("is taken at the next epoch, whoever makes it", function()
    write("second/strategies/mine.lua", places_on "a")
    local db = open()
    write("second/strategies/mine.lua", places_on("b", "-- longer"))
    assert.equal("a", insert(db, "u1"))
    next_epoch()
    assert.equal("b", insert(db, "u2"))
    write("second/strategies/mine.lua", places_on "a")
    assert.equal("b", insert(db, "u3"))
    db:integrate "b"
    assert.equal("a", insert(db, "u4"))
  end)

  it("is not run again while it stays the same", function()
    write("second/strategies/mine.lua", [[
      local count = 0
      return { api = 1, select = function(_, shards)
        count = count + 1
        return shards[count].name
      end }]])
    local db = open()
    assert.equal("a", insert(db, "u1"))
    next_epoch()
    assert.equal("b", insert(db, "u2"))
    db:reload_scripts()
    assert.equal("a", insert(db, "u3"))
  end)

  it("is also one that is replaced, appears before it, or goes away", function()
    write("second/strategies/random.lua", places_on "a")
    local extra = { strategy = "random" }
    local db = open(extra)
    assert.equal("a", insert(db, "u1"))
    -- The same size and time: another file.
    write("second/strategies/new.lua", places_on "b")
    os.execute(("cd %s && touch -r random.lua new.lua && mv new.lua random.lua"):format(
      fixture.path "second/strategies"))
    next_epoch(extra)
    assert.equal("b", insert(db, "u2"))
    write("first/strategies/random.lua", places_on "a")
    next_epoch(extra)
    assert.equal("a", insert(db, "u3"))
    os.remove(fixture.path "first/strategies/random.lua")
    next_epoch(extra)
    assert.equal("b", insert(db, "u4"))
    os.remove(fixture.path "second/strategies/random.lua")
    next_epoch(extra)
    for i = 5, 40 do insert(db, "u" .. i) end
    local _, by_shard = db:count "users"
    assert.is_true(by_shard.a > 2, "the shipped one places by chance")
  end)

  it("and is broken raises once, and the one before goes on", function()
    write("second/strategies/mine.lua", places_on "a")
    local db = open()
    insert(db, "u1")
    for what, case in pairs {
      ["\n\nreturn {"] = { "SCRIPT", "second/strategies/mine.lua:3:" },
      ["\nerror 'boom'"] = { "SCRIPT", "second/strategies/mine.lua:2: boom" },
      ["return 7"] = { "SCRIPT", "mine.lua returned a number" },
      ["return { api = 1 }"] = { "SCRIPT", "no table with a function select" },
    } do
      write("second/strategies/mine.lua", what)
      local epoch_maker <close> = collegedb.open(config { strategy = "random" })
      epoch_maker:integrate "a"
      fixture.raises(case[1], case[2], db.first, db, "nobody", "SELECT id FROM users WHERE id = 'nobody'")
      assert.equal("a", insert(db, what))
      epoch_maker:integrate "a"
      assert.equal("a", insert(db, what .. "2"))
      fixture.raises(case[1], case[2], db.reload_scripts, db)
    end
    os.remove(fixture.path "second/strategies/mine.lua")
    next_epoch { strategy = "random" }
    fixture.raises("CONFIG", "strategy mine is not known", insert, db, "u5")
    assert.equal("a", insert(db, "u5"))
    write("second/strategies/mine.lua", places_on "b")
    next_epoch()
    assert.equal("b", insert(db, "u6"))
  end)

  it("to another family is refused once", function()
    local db = open { strategy = "hash" }
    local before = { db:locate "u1" }
    write("first/strategies/hash.lua", places_on "b")
    db:integrate "a"
    fixture.raises("CONFIG", "another family", db.locate, db, "u2")
    assert.same(before, { db:locate "u1" })
    db:integrate "a"
    db:flush_cache()
    assert.same(before, { db:locate "u1" })
    fixture.raises("CONFIG", "another family", db.reload_scripts, db)
    assert.same(before, { db:locate "u1" })
  end)

  it("and holds rules makes tables what they say, also under hash", function()
    write("second/rules/mine.lua", "local base = ... return { table = base.table }")
    fixture.sqlite("a.db", SCHEMA .. "; CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT)")
    local extra = { rules = "mine" }
    local db = open(extra)
    assert.equal("log:7", tostring(db:key("log", 7)))
    write("second/rules/mine.lua", [[
      local base = ...
      return { table = function(info)
        if info.name == "log" then return { key_column = "line" } end
        return base.table(info)
      end }]])
    next_epoch(extra)
    db:locate "u1"
    assert.equal("log:seven", tostring(db:key("log", "seven")))
    write("second/rules/mine.lua", "return { table = function(info) error 'no table today' end }")
    db:integrate "b"
    fixture.raises("SCRIPT", "no table today", db.locate, db, "u2")
    assert.equal("log:seven", tostring(db:key("log", "seven")))
    db:ensure_schema "CREATE TABLE more (id TEXT PRIMARY KEY)"
    assert.equal("more:m", tostring(db:key("more", "m")))
    fixture.raises("SCRIPT", "no table today", db.reload_scripts, db)
    assert.equal("log:seven", tostring(db:key("log", "seven")))
  end)

  it("is also seen by statistics and integration", function()
    write("second/strategies/mine.lua", places_on "a")
    local db = open()
    write("second/strategies/mine.lua", "return {")
    local epoch_maker <close> = collegedb.open(config { strategy = "random" })
    epoch_maker:integrate "a"
    fixture.raises("SCRIPT", "mine.lua:1:", db.get_shard_stats, db)
    assert.equal(2, #db:get_shard_stats())
    write("second/strategies/mine.lua", "return { ")
    epoch_maker:integrate "a"
    fixture.raises("SCRIPT", "mine.lua:1:", db.integrate, db, "b")
    assert.is_true(db:integrate("b").success)
  end)
end)
