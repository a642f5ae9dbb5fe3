-- Integration in the background: open returns at once, and every row is found before, during and after.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[
  CREATE TABLE cities (name TEXT PRIMARY KEY, shop TEXT);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, shop TEXT);
]]

local function rows(shop, from, count)
  return ([[
    WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
      INSERT INTO orders SELECT i, '%s' FROM n;
    INSERT INTO cities SELECT 'city' || id, shop FROM orders;]]):format(from, from + count - 1, shop)
end

local COUNT <const>, FAR <const> = 20000, 1000000

local function make_two(count)
  fixture.sqlite("a.db", SCHEMA .. rows("a", 1, count or COUNT))
  fixture.sqlite("b.db", SCHEMA .. rows("b", FAR + 1, count or COUNT))
end

local function background(extra)
  local fields = { auto_migrate = "background" }
  for name, value in pairs(extra or {}) do fields[name] = value end
  return fixture.config(fields)
end

local function look(db, i)
  for shop, id in pairs { a = i, b = FAR + i } do
    local row = db:first(id, "SELECT shop FROM orders WHERE id = ?", { id })
    assert(row and row.shop == shop, id .. " is not found")
    row = db:first("city" .. id, "SELECT shop FROM cities WHERE name = ?", { "city" .. id })
    assert(row and row.shop == shop, "city" .. id .. " is not found")
  end
end

local function content()
  return fixture.rows("directory.db", [[SELECT hex(digest) AS d, shard, version FROM _collegedb_entries
    ORDER BY digest]]),
    fixture.rows("directory.db", "SELECT name, integrated, conflicts FROM _collegedb_shards ORDER BY name"),
    fixture.rows("directory.db", "SELECT 1 AS yes FROM _collegedb_jobs")
end

local function forget()
  for _, tail in ipairs { "", "-wal", "-shm", "-users" } do os.remove(fixture.path("directory.db" .. tail)) end
end

-- The directory as integration before open returns makes it.
local function expected(extra)
  local fields = { auto_migrate = true }
  for name, value in pairs(extra or {}) do fields[name] = value end
  local db = fixture.open(fixture.config(fields))
  local reports = { a = db:integration_report "a", b = db:integration_report "b" }
  db:close()
  local out = { content() }
  forget()
  return out, reports
end

local function sorted(report)
  table.sort(report.conflicts, function(x, y) return tostring(x.key) < tostring(y.key) end)
  return report
end

describe("integration in the background", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is the default; every row is found before, during and after, and the outcome is the same", function()
    make_two()
    local directory, reports = expected()
    local config = fixture.config()
    config.auto_migrate = nil
    local db = fixture.open(config)
    local looks, states = 0, {}
    repeat
      looks = looks + 1
      look(db, looks * 37 % COUNT + 1)
      for _, name in ipairs { "a", "b" } do states[db:integration(name).state] = true end
    until db:wait_integration(nil, 0)
    assert.is_true(looks > 3)
    assert.is_true(states.running)
    for i = 1, COUNT, 997 do look(db, i) end
    for _, name in ipairs { "a", "b" } do
      assert.same(reports[name], db:integration_report(name))
      local told = db:integration(name)
      assert.equal("done", told.state)
      assert.equal(2 * COUNT, told.done)
      assert.equal(2 * COUNT, told.total)
      assert.equal(0, told.conflicts)
      assert.is_true(told.rate > 0)
      assert.same(reports[name], told.report)
    end
    for _, stat in ipairs(db:get_shard_stats()) do assert.is_true(stat.integrated) end
    db:close()
    assert.same(directory, { content() })
  end)

  it("is told to the observer by the next call", function()
    make_two(50)
    local events = {}
    local db = fixture.open(background { on_event = function(e) events[#events + 1] = e.event end })
    assert.is_true(db:wait_integration())
    assert.same({ "integrated", "integrated" }, events)
    assert.is_true(db:wait_integration "a")
    assert.same({ "integrated", "integrated" }, events)
  end)

  it("lets rows be written meanwhile", function()
    make_two()
    local db, i = fixture.open(background()), 0
    repeat
      i = i + 1
      local key = "new" .. i
      db:insert(key, "INSERT INTO cities VALUES (?, 'new')", { key })
      assert.equal(1, db:run(i, "UPDATE orders SET shop = 'x' WHERE id = ?", { i }).meta.changes)
      local city = "city" .. i
      fixture.raises("CONSTRAINT", nil, db.insert, db, city, "INSERT INTO cities VALUES (?, 'y')", { city })
    until db:wait_integration(nil, 0)
    assert.is_true(i > 3)
    for k = 1, i do
      assert.equal("new", db:first("new" .. k, "SELECT shop FROM cities WHERE name = ?", { "new" .. k }).shop)
      assert.equal(1, #fixture.holders({ "a", "b" }, "cities", "name", "new" .. k))
    end
  end)

  it("is ended by close soon, also where there is no index", function()
    fixture.sqlite("a.db", [[CREATE TABLE logs (id TEXT, line);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
        INSERT INTO logs SELECT hex(randomblob(20)), i FROM n]])
    local db = fixture.open(background())
    os.execute "sleep 0.05"
    local start = core.now()
    db:close()
    assert.is_true(core.now() - start < 400)
  end)

  it("may be stopped and begun by its observer", function()
    make_two(300)
    local db
    db = fixture.open(background { on_event = function(e)
      if e.event == "integrated" and e.message:find "^a" then
        db:rollback "a"
        db:stop_integration()
      end
    end })
    assert.is_true(db:wait_integration())
    look(db, 7)
    assert.is_false(db:get_shard_stats()[1].integrated)
  end)

  it("is ended by close, and gone on with by the next open", function()
    make_two()
    local directory = expected()
    local opens, gone_on = 0, false
    repeat
      local db = fixture.open(background())
      opens = opens + 1
      local done = db:wait_integration(nil, 0.02 + opens / 1000)
      look(db, opens)
      db:close()
      gone_on = gone_on or #fixture.rows("directory.db", "SELECT 1 AS yes FROM _collegedb_takes") > 0
    until done or opens > 500
    assert.is_true(opens > 1 and opens <= 500)
    assert.is_true(gone_on)
    assert.same(directory, { content() })
  end)

  it("may be stopped, and resumed by hand", function()
    make_two()
    local directory, reports = expected()
    local db = fixture.open(background())
    db:wait_integration(nil, 0.02)
    db:stop_integration()
    assert.is_true(db:wait_integration(nil, 0))
    local told = db:integration "b"
    assert.equal("stopped", told.state)
    assert.is_nil(told.report)
    look(db, 7)
    for _, name in ipairs { "a", "b" } do
      assert.same(reports[name], db:integrate(name, { resume = true }))
    end
    db:close()
    assert.same(directory, { content() })
  end)

  it("may be stopped for one shard, while the others are done", function()
    make_two()
    local db = fixture.open(background())
    db:stop_integration "a"
    assert.is_true(db:wait_integration())
    assert.equal("stopped", db:integration "a".state)
    assert.equal("done", db:integration "b".state)
    look(db, 7)
    fixture.raises("SHARD_NOT_FOUND", nil, db.stop_integration, db, "nope")
    fixture.raises("SHARD_NOT_FOUND", nil, db.wait_integration, db, "nope")
    fixture.raises("USAGE", nil, db.wait_integration, db, nil, "long")
  end)

  it("makes room for db:integrate and db:rollback", function()
    make_two()
    local _, reports = expected()
    local db = fixture.open(background())
    assert.same(reports.a, db:integrate "a")
    db:rollback "b"
    assert.is_true(db:wait_integration())
    look(db, 9)
    assert.is_false(db:get_shard_stats()[2].integrated)
    assert.is_true(db:get_shard_stats()[1].integrated)
  end)

  it("plans again when another program has rolled back", function()
    make_two()
    local db = fixture.open(background())
    local other = fixture.open(fixture.config { auto_migrate = false })
    db:wait_integration(nil, 0.02)
    other:rollback "a"
    other:rollback "b"
    assert.is_true(db:wait_integration(nil, 60))
    for i = 1, COUNT, 997 do look(db, i) end
    for i = 1, COUNT, 997 do look(other, i) end
    for _, stat in ipairs(db:get_shard_stats()) do assert.is_true(stat.integrated) end
  end)

  it("is done by one of several programs", function()
    make_two()
    local directory = expected()
    local outputs = fixture.together(4, [[
      wait_for_go()
      local db <close> = collegedb.open { kv = folder .. "/directory.db",
        shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      local n = tonumber(arg[1])
      for i = n, 20000, 400 do
        assert(db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop == "a")
        local far = 1000000 + i
        assert(db:first(far, "SELECT shop FROM orders WHERE id = ?", { far }).shop == "b")
      end
      assert(db:wait_integration(nil, 50))
      for _, stat in ipairs(db:get_shard_stats()) do assert(stat.integrated) end]])
    for _, output in ipairs(outputs) do assert.equal("", output) end
    assert.same(directory, { content() })
  end)

  it("of a program that is killed is gone on with by the next", function()
    make_two()
    local directory = expected()
    for round = 1, 8 do
      local pipe = fixture.spawn [[
        print(io.open("/proc/self/stat"):read "n")
        io.flush()
        local db = collegedb.open { kv = folder .. "/directory.db",
          shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
        while true do db:wait_integration(nil, 0.1) end]]
      local pid = assert(math.tointeger(pipe:read "n"))
      os.execute(("sleep 0.%02d; kill -9 %d"):format(round * 4, pid))
      pipe:close()
      local db = fixture.open(fixture.config { auto_migrate = false })
      for i = 1, COUNT, 2999 do look(db, i) end
      db:close()
    end
    local db = fixture.open(background())
    assert.is_true(db:wait_integration())
    for i = 1, COUNT, 997 do look(db, i) end
    db:close()
    assert.same(directory, { content() })
  end)

  it("is reported by the next program, when the one that did it made no call any more", function()
    make_two(300)
    local directory, reports = expected()
    local pipe = fixture.spawn [[
      local db = collegedb.open { kv = folder .. "/directory.db",
        shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      os.execute "sleep 0.5"
      os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n")]]
    pipe:read "a"
    pipe:close()
    for _, row in ipairs(fixture.rows("directory.db", "SELECT integrated FROM _collegedb_shards")) do
      assert.equal(1, row.integrated)
    end
    local db = fixture.open(background())
    for _, name in ipairs { "a", "b" } do assert.same(reports[name], db:integration_report(name)) end
    look(db, 7)
    db:close()
    assert.same(directory, { content() })
  end)

  it("ends with the program, also when that closes nothing", function()
    make_two()
    for _, ending in ipairs { "", "os.exit(0)", "os.exit(0, true)", "error 'mine'", "db = nil collectgarbage()" } do
      forget()
      local pipe = fixture.spawn(([[
        local db = collegedb.open { kv = folder .. "/directory.db",
          shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
        assert(db:first(1, "SELECT shop FROM orders WHERE id = 1").shop == "a")
        %s]]):format(ending))
      local output = pipe:read "a"
      local _, how, status = pipe:close()
      assert.equal("exit", how)
      assert.equal(ending:find "error" and 1 or 0, status)
      assert.equal(ending:find "error" ~= nil, output:find "mine" ~= nil)
    end
  end)

  it("has the rules judge conflicts, on this thread", function()
    fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 1500))
    fixture.sqlite("b.db", SCHEMA .. rows("b", 1001, 1500))
    local function rules()
      return { conflict = function(key, mapped, found)
        assert(mapped == "a" and found == "b")
        return (tostring(key):match "%d+" or 0) % 2 == 0 and "keep" or "error"
      end }
    end
    local directory, reports = expected { rules = rules() }
    local asked, events = 0, {}
    local counting = rules()
    local db = fixture.open(background {
      rules = { conflict = function(...)
        asked = asked + 1
        return counting.conflict(...)
      end },
      on_event = function(e) events[#events + 1] = e.event end,
    })
    assert.is_true(db:wait_integration())
    assert.equal(1000, asked)
    assert.equal(1000, db:integration "b".conflicts)
    assert.same(sorted(reports.b), sorted(db:integration_report "b"))
    assert.same(sorted(reports.a), sorted(db:integration_report "a"))
    db:close()
    assert.same(directory, { content() })
  end)

  it("tells of rules that fail, and finds every row", function()
    fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 50))
    fixture.sqlite("b.db", SCHEMA .. rows("b", 41, 50))
    local events = {}
    local db = fixture.open(background { rules = { conflict = function() error "broken" end },
      on_event = function(e) events[e.event] = e.message end })
    assert.is_true(db:wait_integration())
    local told = db:integration "b"
    assert.equal("failed", told.state)
    assert.matches("background_spec.lua:%d+: broken", told.error.message)
    assert.matches("b: .*broken", events.integration_failed)
    assert.equal("a", db:first(45, "SELECT shop FROM orders WHERE id = 45").shop)
    assert.equal("b", db:first(55, "SELECT shop FROM orders WHERE id = 55").shop)
  end)

  it("tells of a file that fails", function()
    make_two(300)
    local db = fixture.open(background { shards = { b = { integrate = false } } })
    assert.is_true(db:wait_integration())
    db:close()
    forget()
    -- What is wrong is met by the thread only: the page of the table's tree behind its first one.
    fixture.sqlite("a.db", "PRAGMA page_size")
    local file = assert(io.open(fixture.path "a.db", "r+b"))
    file:seek("set", 4096 * 4)
    file:write(("\255"):rep(4096 * 3))
    file:close()
    local opened, e = pcall(fixture.open, background())
    if not opened then
      assert.equal("CORRUPT", e.code)
      return
    end
    assert.is_true(e:wait_integration())
    assert.equal("failed", e:integration "a".state)
    assert.equal("CORRUPT", e:integration "a".error.code)
    assert.equal("done", e:integration "b".state)
  end)

  it("reports inside a transaction of the caller as soon as that has ended", function()
    make_two(50)
    local db = fixture.open(background())
    db:transaction(db:key("orders", 1), function(tx)
      for _ = 1, 50 do
        os.execute "sleep 0.01"
        assert.equal("a", tx:first("SELECT shop FROM orders WHERE id = 1").shop)
        assert.equal("b", db:first(FAR + 1, "SELECT shop FROM orders WHERE id = ?", { FAR + 1 }).shop)
      end
    end)
    assert.is_true(db:wait_integration())
    assert.equal(100, db:integration_report "a".total_records)
  end)

  for what, config in pairs {
    ["a directory in memory"] = function() return { kv = "memory:" } end,
    ["a workflow of one's own"] = function()
      os.execute("mkdir -p " .. fixture.path "scripts/workflows")
      fixture.write("scripts/workflows/integrate.lua", "return {}")
      return { script_dirs = { fixture.path "scripts" } }
    end,
  } do
    it("happens before open returns with " .. what, function()
      make_two(50)
      local events = {}
      local fields = config()
      fields.on_event = function(e) events[e.event] = e.message end
      local given = background(fields)
      given.kv = fields.kv or given.kv
      local db = fixture.open(given)
      assert.is_nil(db:integration "a")
      assert.is_true(db:wait_integration())
      db:stop_integration()
      assert.equal(100, db:integration_report "a".total_records)
      assert.is_string(events.foreground)
      look(db, 5)
    end)
  end

  it("says at open which key columns have no index", function()
    fixture.sqlite("a.db", "CREATE TABLE logs (id TEXT, line); INSERT INTO logs VALUES ('x', 1), ('x', 2), ('y', 3)")
    local events = {}
    local db = fixture.open(background { on_event = function(e) events[e.event] = e.message end })
    assert.matches('shard a, table logs: .* CREATE INDEX "logs_id"', events.unindexed)
    assert.is_true(db:wait_integration())
    assert.equal(3, db:integration_report("a").total_records)
  end)
end)
