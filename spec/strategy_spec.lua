-- Where new keys go: the hash, and a strategy of the user's with claims in the directory.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[
  CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
  CREATE TABLE Posts (id INTEGER PRIMARY KEY, n);
]]
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"

local function entries(name)
  return fixture.rows(name or "directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n
end

describe("the strategy hash", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("spreads new keys and writes nothing to the directory", function()
    local db = fixture.database(SCHEMA, nil, { "a", "b", "c", "d" })
    for i = 1, 200 do db:insert("u" .. i, INSERT, { "u" .. i }) end
    local total, by_shard = db:count "users"
    assert.equal(200, total)
    for _, n in pairs(by_shard) do assert.is_true(n > 20 and n < 90, "uneven: " .. n) end
    assert.equal(0, entries())
  end)

  it("places a key where locate says, in every instance", function()
    local db = fixture.database(SCHEMA)
    local other = fixture.open(fixture.config())
    for i = 1, 50 do
      local key = "u" .. i
      local expected, how = db:locate(key)
      assert.equal("home", how)
      assert.equal(expected, (other:locate(key)))
      assert.equal(expected, db:insert(key, INSERT, { key }).meta.served_by)
    end
  end)

  it("gives a shard of three times the weight three times the keys", function()
    local db = fixture.database(nil, { shards = { a = { weight = 3 } } })
    local count = 0
    for i = 1, 4000 do
      if db:locate("u" .. i) == "a" then count = count + 1 end
    end
    assert.is_true(count > 2880 and count < 3120, tostring(count))
  end)

  it("leaves a shard with allocate = false alone", function()
    local db = fixture.database(SCHEMA, { shards = { b = { allocate = false } } })
    for i = 1, 50 do db:insert("u" .. i, INSERT, { "u" .. i }) end
    local _, by_shard = db:count "users"
    assert.same({ a = 50, b = 0 }, by_shard)
  end)

  it("finds no place when no shard takes new keys", function()
    local db = fixture.database(SCHEMA, { shards = { a = { allocate = false }, b = { allocate = false } } })
    fixture.raises("NO_SHARDS", nil, db.insert, db, "u1", INSERT, { "u1" })
  end)

  it("writes an entry for each new key when the directory is full", function()
    local db = fixture.database(SCHEMA, { directory = "full" })
    for i = 1, 20 do db:insert("u" .. i, INSERT, { "u" .. i }) end
    assert.is_nil(db:first("nobody", "SELECT * FROM users WHERE id = 'nobody'"))
    assert.equal(20, entries())
    for i = 1, 20 do
      assert.same(fixture.holders({ "a", "b" }, "users", "id", "u" .. i), { (db:locate("u" .. i)) })
    end
  end)
end)

describe("a strategy function", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function last_shard(_, shards) return shards[#shards].name end

  it("decides where an INSERT goes, once", function()
    local calls = {}
    local db = fixture.database(SCHEMA, { strategy = function(key, shards, ctx)
      if ctx.operation == "write" then calls[#calls + 1] = key end
      return shards[key:byte(-1) % 2 + 1].name
    end })
    for i = 1, 10 do
      local key = "u" .. i
      local expected = ({ "a", "b" })[key:byte(-1) % 2 + 1]
      assert.equal(expected, db:insert(key, INSERT, { key }).meta.served_by)
      assert.same({ expected, "claimed" }, { db:locate(key) })
      db:update_by_primary_key(key, "UPDATE users SET n = 2 WHERE id = ?", { key })
      assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      fixture.raises("CONSTRAINT", nil, db.insert, db, key, INSERT, { key })
    end
    assert.same({ "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "u10" }, calls)
    assert.equal(10, entries())
  end)

  it("is not asked again after a new start: the claim stands", function()
    local db = fixture.database(SCHEMA, { strategy = last_shard })
    for i = 1, 10 do db:insert("u" .. i, INSERT, { "u" .. i }) end
    db:close()
    db = fixture.open(fixture.config { strategy = function(_, shards) return shards[1].name end })
    for i = 1, 10 do
      assert.same({ "b", "directory" }, { db:locate("u" .. i) })
      assert.equal(1, db:first("u" .. i, "SELECT n FROM users WHERE id = ?", { "u" .. i }).n)
    end
  end)

  it("allocates nothing for reads, updates, deletes and locate", function()
    local db = fixture.database(SCHEMA, { strategy = last_shard })
    for i = 1, 5 do
      local key = "u" .. i
      assert.is_nil(db:first(key, "SELECT * FROM users WHERE id = ?", { key }))
      assert.same({}, db:all(key, "SELECT * FROM users WHERE id = ?", { key }))
      for _ in db:each(key, "SELECT * FROM users WHERE id = ?", { key }) do assert(false) end
      assert.equal(0, db:update_by_primary_key(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes)
      assert.equal(0, db:delete_by_primary_key(key, "DELETE FROM users WHERE id = ?", { key }).meta.changes)
      assert.same({}, db:select_by_primary_key(key, "SELECT * FROM users WHERE id = ?", { key }).results)
      assert.is_nil((db:locate(key)))
      db:batch(key, { { "SELECT 1" }, { "DELETE FROM users WHERE id = ?", { key } } })
    end
    assert.equal(0, entries())
  end)

  it("spends no turn on a read", function()
    local db = fixture.database(SCHEMA, { strategy = function(_, shards, ctx)
      return shards[ctx.turn "mine" % #shards + 1].name
    end })
    for i = 1, 8 do
      local key = "u" .. i
      for _ = 1, i do assert.is_nil(db:first(key, "SELECT * FROM users WHERE id = ?", { key })) end
      assert.equal(i % 2 == 1 and "a" or "b", db:insert(key, INSERT, { key }).meta.served_by)
    end
  end)

  it("is told of the key, the shards and what is being done", function()
    local seen
    local function look(key, shards, ctx)
      seen = { key = key, shards = shards, ctx = ctx, keys = shards[1].keys, size = shards[2].size }
      local name = shards[1].name
      shards[1].name, shards[2] = "changed", nil -- a fresh array: mine to change
      return name
    end
    local shards = { a = { region = "weur" }, c = { allocate = false } }
    local db = fixture.database(SCHEMA, { strategy = look, shards = shards }, { "b", "c", "a" })
    db:insert("u1", INSERT, { "u1" })
    assert.equal("u1", seen.key)
    assert.equal("changed", seen.shards[1].name)
    assert.equal("write", seen.ctx.operation)
    assert.equal("users", seen.ctx.table)
    assert.equal(0, seen.keys)
    assert.equal("integer", math.type(seen.keys))
    assert.is_true(seen.size >= 4096)
    db:insert(17, "INSERT INTO posts VALUES (17, 1)")
    assert.equal(17, seen.key)
    assert.equal("integer", math.type(seen.key))
    assert.equal("posts", seen.ctx.table:lower())
    db:first("u3", "SELECT * FROM users WHERE id = 'u3'")
    assert.equal("read", seen.ctx.operation)
  end)

  it("sees only shards that take new keys, in the order of the config", function()
    local names
    local db = fixture.database(SCHEMA, { strategy = function(_, shards)
      names = {}
      for i, each in ipairs(shards) do
        names[i] = ("%s %s %s %s"):format(each.name, each.region, each.priority, each.weight)
      end
      return shards[1].name
    end, shards = { a = { region = "weur", priority = 2, weight = 1.5 }, c = { allocate = false } } },
      { "b", "c", "a" })
    db:insert("u1", INSERT, { "u1" })
    assert.same({ "b nil nil 1", "a weur 2 1.5" }, names)
  end)

  it("sees how many keys a shard has, at most 10 s old", function()
    local counts = {}
    local db = fixture.database(SCHEMA, { strategy = function(_, shards)
      counts[#counts + 1] = shards[1].keys
      return shards[1].name
    end })
    db:insert("u1", INSERT, { "u1" })
    assert.equal(0, counts[1])
    for i = 2, 5 do db:insert("u" .. i, INSERT, { "u" .. i }) end
    for _, n in ipairs(counts) do assert.is_true(n >= 0 and n <= 4) end
  end)

  it("has ctx.hash, ctx.random and ctx.turn", function()
    local ctx
    local db = fixture.database(SCHEMA, { strategy = function(_, shards, given)
      ctx = given
      assert.equal("integer", math.type(ctx.hash "x"))
      assert.is_true(ctx.hash "x" >= 0 and ctx.hash "x" == core.hash "x" and ctx.hash "x" ~= ctx.hash "y")
      local n = ctx.random(6)
      assert.is_true(n >= 1 and n <= 6 and math.type(n) == "integer")
      return shards[ctx.turn "t" % 2 + 1].name
    end })
    for i = 1, 4 do
      local result = db:insert("u" .. i, INSERT, { "u" .. i })
      assert.equal(i % 2 == 1 and "a" or "b", result.meta.served_by)
    end
    assert.is_not_nil(ctx)
  end)

  describe("that is wrong stops with SCRIPT, and claims nothing:", function()
    local cases = {
      { "an unknown shard", function() return "zebra" end, "zebra" },
      { "no answer", function() end, "nil" },
      { "a number", function() return 1 end, "returned 1" },
      { "a shard's table", function(_, shards) return shards[1] end, "table" },
      { "a shard closed for new keys", function() return "closed" end, "closed" },
      { "an error", function() error "boom" end, "strategy_spec%.lua:%d+: boom" },
      { "an error that is a table", function() error { "boom" } end, nil },
      { "an error that is nil", function() error(nil) end, nil },
      { "a call of nil", function() return nil .. "x" end, "concatenate" },
      { "a loop without end", function() while true do end end, "script_limit" },
      { "a recursion without end", function() local function f() return 1 + f() end return f() end, nil },
      { "a yield", function() coroutine.yield() end, "yield" },
    }
    for _, case in ipairs(cases) do
      local what, strategy, message = case[1], case[2], case[3]
      it(what, function()
        local db = fixture.database(SCHEMA, { strategy = strategy, script_limit = 200000,
          shards = { closed = { allocate = false } } }, { "a", "b", "closed" })
        local e = fixture.raises("SCRIPT", message, db.insert, db, "u1", INSERT, { "u1" })
        assert.matches("strategy", e.message)
        assert.equal("u1", e.key or "u1")
        fixture.raises("SCRIPT", nil, db.first, db, "u1", "SELECT * FROM users WHERE id = 'u1'")
        assert.equal(0, db:count "users")
        assert.equal(0, entries())
        assert.is_nil(debug.gethook())
      end)
    end
  end)

  it("that works within its bound is not stopped, however often it runs", function()
    local db = fixture.database(SCHEMA, { script_limit = 20000, strategy = function(_, shards)
      local n = 0
      for i = 1, 1000 do n = n + i end
      return shards[n % 2 + 1].name
    end })
    for i = 1, 100 do db:insert("u" .. i, INSERT, { "u" .. i }) end
    assert.equal(100, db:count "users")
  end)

  it("leaves a hook that was there in its place", function()
    local function hook() end
    local db = fixture.database(SCHEMA, { strategy = last_shard })
    debug.sethook(hook, "", 1000000)
    db:insert("u1", INSERT, { "u1" })
    local now, _, count = debug.gethook()
    debug.sethook()
    assert.equal(hook, now)
    assert.equal(1000000, count)
  end)

  it("may use the database itself", function()
    local db
    db = fixture.database(SCHEMA, { strategy = function(key, shards)
      if key ~= "chief" then
        local row = db:first("chief", "SELECT n FROM users WHERE id = 'chief'")
        return shards[row.n].name
      end
      return shards[1].name
    end })
    db:insert("chief", "INSERT INTO users VALUES ('chief', 2)")
    assert.equal("b", db:insert("u1", INSERT, { "u1" }).meta.served_by)
  end)

  it("that closes the database gets CLOSED", function()
    local db
    db = fixture.database(SCHEMA, { strategy = function(_, shards)
      db:close()
      return shards[1].name
    end })
    fixture.raises("CLOSED", nil, db.insert, db, "u1", INSERT, { "u1" })
  end)

  it("keeps a claim whose INSERT failed", function()
    local db = fixture.database(SCHEMA, { strategy = last_shard })
    fixture.raises("SQL", nil, db.insert, db, "u1", "INSERT INTO users VALUES ('u1', 1, 2, 3)")
    db:insert("u1", INSERT, { "u1" })
    assert.same({ "b" }, fixture.holders({ "a", "b" }, "users", "id", "u1"))
  end)

  it("puts each key on one shard, whichever of two instances comes first", function()
    local one = fixture.database(SCHEMA, { strategy = function(_, shards) return shards[1].name end })
    local two = fixture.open(fixture.config { strategy = function(_, shards) return shards[2].name end })
    for i = 1, 20 do
      local key = "u" .. i
      local first, second = one, two
      if i % 2 == 0 then first, second = two, one end
      assert.is_nil(second:first(key, "SELECT * FROM users WHERE id = ?", { key }))
      first:insert(key, INSERT, { key })
      assert.equal(1, second:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      fixture.raises("CONSTRAINT", nil, second.insert, second, key, INSERT, { key })
    end
    local _, by_shard = one:count "users"
    assert.same({ a = 10, b = 10 }, by_shard)
  end)

  it("puts each key on one shard, however many processes insert it at once", function()
    fixture.database(SCHEMA, { strategy = last_shard }, { "a", "b", "c" }):close()
    local outputs = fixture.together(4, [[
      local number = tonumber(arg[1])
      local db <close> = collegedb.open { kv = folder .. "/directory.db",
        shards = { a = folder .. "/a.db", b = folder .. "/b.db", c = folder .. "/c.db" },
        strategy = function(_, shards) return shards[number % 3 + 1].name end }
      wait_for_go()
      local won = 0
      for i = 1, 150 do
        local key = "u" .. (i * 7 + number * 31) % 150
        local ok, e = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, ?)", { key, number })
        if ok then won = won + 1 elseif e.code ~= "CONSTRAINT" then error(e) end
        assert(db:first(key, "SELECT n FROM users WHERE id = ?", { key }), key)
      end
      print(won)]])
    local won = 0
    for _, output in ipairs(outputs) do won = won + assert(tonumber(output), output) end
    assert.equal(150, won)
    assert.equal(150, entries())
    for i = 0, 149 do assert.equal(1, #fixture.holders({ "a", "b", "c" }, "users", "id", "u" .. i)) end
  end)
end)

describe("a strategy or rules file", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function scripts(files)
    for path, text in pairs(files) do
      os.execute("mkdir -p " .. fixture.path(path:match "^(.*)/"))
      fixture.write(path, text)
    end
  end

  it("is found in script_dirs", function()
    scripts { ["mine/strategies/to_b.lua"] = [[
      return { name = "to_b", api = 1, select = function(key, shards, ctx) return "b" end }]] }
    local folders = { fixture.path "none", fixture.path "mine" }
    local db = fixture.database(SCHEMA, { strategy = "to-b", script_dirs = folders })
    assert.equal("b", db:insert("u1", INSERT, { "u1" }).meta.served_by)
  end)

  it("of the contract's example gives the shard with the fewest keys", function()
    scripts { ["mine/strategies/least_keys.lua"] = [[
      return {
        name = "least_keys", api = 1,
        select = function(key, shards, ctx)
          table.sort(shards, function(a, b) return a.keys < b.keys end)
          return shards[1].name
        end,
      }]] }
    fixture.sqlite("a.db", SCHEMA .. "INSERT INTO users VALUES ('x', 1), ('y', 1)")
    local db = fixture.database(nil, { strategy = "least_keys", script_dirs = { fixture.path "mine" } })
    db:create_schema "b"
    assert.equal("b", db:insert("u1", INSERT, { "u1" }).meta.served_by)
  end)

  it("gets what it shadows as base", function()
    scripts { ["mine/strategies/hash.lua"] = [[
      local base = ...
      return { name = "hash", select = function(key, shards, ctx)
        if key == "special" then return "b" end
        return base.select(key, shards, ctx)
      end }]] }
    local plain = fixture.open { kv = "memory:", shards = { a = ":memory:", b = ":memory:" } }
    local db = fixture.database(SCHEMA, { script_dirs = { fixture.path "mine" } })
    assert.equal("b", db:insert("special", INSERT, { "special" }).meta.served_by)
    for i = 1, 20 do
      assert.equal(plain:locate("u" .. i), db:insert("u" .. i, INSERT, { "u" .. i }).meta.served_by)
    end
  end)

  it("for rules gets the default rules as base", function()
    scripts { ["mine/rules/mine.lua"] = [[
      local base = ...
      return setmetatable({ table = function(info, catalog)
        if info.name:match "^tmp_" then return nil, "temporary" end
        if info.name == "log" then return { key_column = "line" } end
        return base.table(info, catalog)
      end }, { __index = base })]] }
    fixture.sqlite("a.db", SCHEMA .. "; CREATE TABLE tmp_x (id TEXT PRIMARY KEY); CREATE TABLE log (line TEXT); "
      .. "INSERT INTO log VALUES ('l1')")
    local db = fixture.database(nil, { rules = "mine", script_dirs = { fixture.path "mine" } })
    fixture.raises("TABLE_NOT_FOUND", "temporary", db.key, db, "tmp_x", "t")
    assert.equal("log:l1", tostring(db:key("log", "l1")))
    assert.equal("a", db:locate("l1", "log"))
  end)

  local wrong = {
    { "with a syntax error", "return {", "SCRIPT", "broken%.lua:1:" },
    { "with a runtime error", "error 'boom'", "SCRIPT", "broken%.lua:1: boom" },
    { "that returns nothing", "local x = 1", "SCRIPT", "broken" },
    { "that returns no function", "return { name = 'x' }", "SCRIPT", "broken" },
    { "that loops without end", "while true do end", "SCRIPT", "script_limit" },
    { "of compiled code", string.dump(function() return {} end), "SCRIPT", "binary" },
    { "that asks for a missing module", "require 'no.such.module'", "SCRIPT", "no%.such%.module" },
  }
  for _, case in ipairs(wrong) do
    for kind, folder in pairs { strategy = "strategies", rules = "rules" } do
      it(("for %s %s stops the opening"):format(kind, case[1]), function()
        scripts { ["mine/" .. folder .. "/broken.lua"] = case[2] }
        local before = #fixture.files()
        local config = fixture.config { [kind] = "broken", script_limit = 100000,
          script_dirs = { fixture.path "mine" } }
        fixture.raises(case[3], case[4], collegedb.open, config)
        assert.equal(before, #fixture.files())
      end)
    end
  end

  it("for rules that fail names the rules and the table", function()
    fixture.sqlite("a.db", SCHEMA)
    local cases = {
      [function() error "boom" end] = "boom",
      [function() return { key_column = "nope" } end] = "nope",
      [function() return { key_column = 5 } end] = "users",
      [function() return "id" end] = "users",
      [function() while true do end end] = "script_limit",
    }
    for f, message in pairs(cases) do
      local e = fixture.raises("SCRIPT", message, collegedb.open, fixture.config {
        rules = { name = "odd", table = function(info)
          if info.name == "users" then return f() end
          return nil, "no"
        end },
        script_limit = 100000 })
      assert.matches("rules", e.message)
    end
  end)
end)
