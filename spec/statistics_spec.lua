-- Counts and durations of statements, in this program and over several; slow statements; health; Prometheus.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local lfs = require "lfs"
local process = require "spec.support.process"

local USERS <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT)"
local SELECT <const> = "SELECT * FROM users WHERE id = ?"
local INSERT <const> = "INSERT INTO users VALUES (?, 'x')"
local SLOW <const> = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 300000) "
  .. "SELECT count(*) AS n, 'secret' = ? AS s FROM t"

local function database(extra)
  local db = fixture.database(USERS, extra)
  core.count_from_now(db) -- without the making of the tables
  return db
end

local function of(db, shard, opts)
  for _, each in ipairs(db:statistics(opts).shards) do
    if each.name == shard then return each end
  end
end

local function difference(db, shard, f)
  local before = of(db, shard)
  f()
  local after = of(db, shard)
  return after.reads - before.reads, after.writes - before.writes, after.errors - before.errors
end

describe("the statistics of a database", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("count each statement of the program, by shard and kind, and nothing of CollegeDB's own", function()
    local db = database()
    local key = fixture.key_on(db, "a")
    local reads, writes, failed = difference(db, "a", function()
      db:insert(key, INSERT, { key })
      for _ = 1, 1000 do db:first(key, SELECT, { key }) end
      db:all(key, SELECT, { key })
      for _ in db:each(key, SELECT, { key }) do db:locate(key) end
      db:transaction(key, function(tx)
        tx:run("UPDATE users SET name = 'y' WHERE id = ?", { key })
        tx:first(SELECT, { key })
      end)
      db:batch(key, { { "DELETE FROM users WHERE id = ?", { key } } })
      db:shard("a"):first(SELECT, { key })
      fixture.raises("SQL", nil, db.first, db, key, "SELECT * FROM nothing", {})
    end)
    assert.same({ 1004, 3, 1 }, { reads, writes, failed })
    assert.same({ 0, 0, 0 }, { difference(db, "b", function() db:first(key, SELECT, { key }) end) })
  end)

  it("tell errors by their code", function()
    local db = database()
    local key = fixture.key_on(db, "a")
    db:insert(key, INSERT, { key })
    for _ = 1, 3 do fixture.raises("CONSTRAINT", nil, db.insert, db, key, INSERT, { key }) end
    fixture.raises("USAGE", nil, db.insert, db, key, INSERT, {})
    assert.same({ CONSTRAINT = 3, USAGE = 1 }, of(db, "a").errors_by_code)
    assert.equal(4, of(db, "a").errors)
  end)

  it("time each statement of a quiet program, and of a busy one as many as ran", function()
    local db = database()
    local key = fixture.key_on(db, "a")
    db:insert(key, INSERT, { key })
    local write = of(db, "a").write
    assert.equal(1, write.count)
    assert.is_true(write.max > 0 and write.max < 60 and math.abs(write.max - write.sum) < 1e-9)
    for _ = 1, 20000 do db:first(key, SELECT, { key }) end
    local read = of(db, "a").read
    assert.is_true(math.abs(read.count - 20000) < 130, read.count)
    assert.is_true(read.p50 <= read.p90 and read.p90 <= read.p99 and read.p99 <= read.max)
    local sum, last = 0, 0
    for _, each in ipairs(read.buckets) do
      assert.is_true(each.from >= last and each.to > each.from and each.count > 0)
      sum, last = sum + each.count, each.to
    end
    assert.equal(read.count, sum)
  end)

  it("measure a duration to within an eighth", function()
    local db = database { slow_query = 100 } -- so that each is timed
    local key, took = fixture.key_on(db, "a"), 0
    for i = 1, 3 do took = math.max(took, db:run(key, SLOW, { i }).meta.duration / 1000) end
    local read = of(db, "a").read
    assert.equal(3, read.count)
    assert.is_true(read.max > took * 0.5 and read.max < took * 2)
    assert.is_true(read.p99 <= read.max and read.p99 > read.sum / 3 * 0.6)
    assert.equal(0, of(db, "a").slow)
  end)

  it("tell how often the mapping cache knew a key", function()
    local db = database { mapping_cache_size = 500 }
    local key = fixture.key_on(db, "a")
    local before = db:statistics().cache
    for _ = 1, 9 do db:first(key, SELECT, { key }) end
    local cache = db:statistics().cache
    assert.equal(9, cache.hits + cache.misses - before.hits - before.misses)
    assert.equal(500, cache.capacity)
    assert.is_true(cache.hit_rate > 0 and cache.hit_rate <= 1 and cache.entries >= 1)
  end)

  it("count a write that went to where its key had moved", function()
    local stale = database()
    local key = fixture.key_on(stale, "a")
    stale:insert(key, INSERT, { key })
    local other = fixture.open(fixture.config())
    other:reassign_shard(key, "b")
    stale:update_by_primary_key(key, "UPDATE users SET name = 'z' WHERE id = ?", { key })
    assert.equal(1, of(stale, "a").forwarded)
    assert.equal(0, of(stale, "a").errors)
  end)

  it("take one option", function()
    local db = database()
    fixture.raises("USAGE", "no option shards", db.statistics, db, { shards = true })
    fixture.raises("USAGE", "true or false", db.metrics, db, { all = 1 })
    fixture.raises("USAGE", "table of options", db.statistics, db, 1)
  end)

  it("have the shard that was added, and are gone when the database is closed", function()
    local db = database()
    db:add_shard { name = "c", fixture.path "c.db" }
    db:shard("c"):first "SELECT 1"
    assert.equal("c", db:statistics().shards[3].name)
    assert.is_true(of(db, "c").reads >= 1)
    local handle = db:shard "a"
    db:close()
    fixture.raises("CLOSED", nil, db.statistics, db)
    fixture.raises("CLOSED", nil, handle.first, handle, "SELECT 1")
  end)
end)

describe("programs that share statistics_dir", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function shared(extra)
    local config = fixture.config(extra)
    config.statistics_dir = fixture.path "stats"
    return config
  end

  local PROGRAM <const> = [[
    local collegedb = require "collegedb"
    local db <close> = collegedb.open { kv = folder .. "/directory.db", statistics_dir = folder .. "/stats",
      shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
    for i = 1, 50 do db:shard("a"):first "SELECT 1" end
    db:statistics { all = true }
  ]]

  it("are summed, also while they run, and no longer when they have ended", function()
    local db = fixture.open(shared())
    assert.equal(1, db:statistics { all = true }.programs)
    local own = of(db, "a").reads
    local stop = fixture.background(PROGRAM:gsub("<close>", "") .. " _G.db = db")
    local stop_other = fixture.background(PROGRAM:gsub("<close>", "") .. " _G.db = db")
    assert.equal(3, db:statistics { all = true }.programs)
    assert.equal(own + 100, of(db, "a", { all = true }).reads)
    assert.equal(own, of(db, "a").reads)
    stop()
    stop_other()
    assert.equal(1, db:statistics { all = true }.programs)
  end)

  it("leave no file behind, and a killed one's is removed by whoever looks", function()
    local db = fixture.open(shared())
    local out <close> = fixture.spawn(PROGRAM .. [[ local me = io.open("/proc/self/stat"):read "n"
      print(me) io.stdout:flush() os.execute("kill -9 " .. me) ]])
    local pid = out:read "l"
    out:read "a"
    assert.is_true(lfs.attributes(fixture.path("stats/" .. pid .. "-1"), "size") > 0)
    fixture.write("stats/notes.txt", "mine")
    fixture.write("stats/12-3", "nobody's")
    assert.equal(1, db:statistics { all = true }.programs)
    assert.is_nil(lfs.attributes(fixture.path("stats/" .. pid .. "-1")))
    assert.is_nil(lfs.attributes(fixture.path "stats/12-3"))
    db:close()
    local left = {}
    for name in lfs.dir(fixture.path "stats") do left[#left + 1] = name:sub(1, 1) ~= "." and name or nil end
    assert.same({ "notes.txt" }, left)
  end)

  it("are shown also when they work for an instant and then sleep", function()
    local db = fixture.open(shared())
    local stop = fixture.background([[
      local collegedb = require "collegedb"
      _G.db = collegedb.open { kv = folder .. "/directory.db", statistics_dir = folder .. "/stats",
        shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      for i = 1, 200 do _G.db:shard("a"):first "SELECT 1" end
    ]])
    local seen = of(db, "a", { all = true }).reads
    assert.is_true(seen > 100 and seen <= 200, seen)
    stop()
  end)

  it("are seen by one who has no database open, and is not among them", function()
    local db = fixture.open(shared())
    local function seen() return require("collegedb.statistics").of_folder(fixture.path "stats", { "a", "b" }) end
    db:shard("a"):first "SELECT 1"
    db:statistics { all = true } -- and it writes them now
    assert.equal(1, seen().programs)
    assert.equal(of(db, "a").reads, seen().shards[1].reads)
    assert.equal(1, seen().shards[1].reads)
    db:close()
    assert.equal(0, seen().programs)
  end)

  it("is a folder that can be made and written", function()
    fixture.write("plain", "x")
    for _, folder in ipairs { fixture.path "plain", fixture.path "no/such" } do
      local config = fixture.config { statistics_dir = folder }
      fixture.raises("CONFIG", "^statistics_dir: ", collegedb.open, config)
    end
    fixture.raises("CONFIG", "takes a path", collegedb.open, fixture.config { statistics_dir = "" })
  end)
end)

describe("a slow statement", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is told to on_event by the next call, counted and logged, without its parameters", function()
    local events = {}
    local db = database { slow_query = 0.005, slow_query_log = fixture.path "slow.log",
      on_event = function(event) if event.event == "slow" then events[#events + 1] = event end end }
    local key = fixture.key_on(db, "b")
    db:first(key, SLOW, { "hidden" })
    assert.same({}, events)
    db:first(key, SELECT, { key })
    assert.equal(1, #events)
    local event = events[1]
    assert.equal("b", event.shard)
    assert.equal("read", event.kind)
    assert.equal(SLOW, event.sql)
    assert.is_true(event.seconds >= 0.005 and math.abs(event.time - os.time()) < 60)
    assert.equal(1, of(db, "b").slow)
    local log = fixture.bytes "slow.log"
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ %d+%.%d+ s b WITH RECURSIVE [^\n]*\n$", log)
    assert.is_nil(log:find "hidden")
    assert.is_nil(event.message:find "hidden")
  end)

  it("is told at the close too, and those that nobody could be told of are counted", function()
    local told, more = 0, 0
    local db = database { slow_query = 1e-6, on_event = function(event)
      if event.event ~= "slow" then return end
      told, more = told + (event.sql and 1 or 0), more + (event.more or 0)
    end }
    local key = fixture.key_on(db, "a")
    db:first(key, "SELECT 1", {})
    local before = of(db, "a").slow -- what was slow so far is told now
    told, more = 0, 0
    for _ = 1, 40 do db:shard("a"):first(SELECT, { key }) end
    db:close()
    assert.equal(40, told + more, before)
    assert.is_true(told >= 16)
  end)

  it("may be told to an observer that uses the database, fails, or closes it", function()
    local config = fixture.config { slow_query = 1e-6 }
    local db, calls = nil, 0
    function config.on_event(event)
      if event.event ~= "slow" or not db then return end
      calls = calls + 1
      db:first("x", "SELECT hex(randomblob(10000))", {})
      if calls == 3 then db:close() end
      error "no"
    end
    db = fixture.open(config)
    for _ = 1, 20 do pcall(db.first, db, "x", "SELECT hex(randomblob(10000))", {}) end
    fixture.raises("CLOSED", nil, db.first, db, "x", "SELECT 1", {})
    assert.is_true(calls >= 3)
  end)

  it("wants both fields to be right", function()
    local path = fixture.path "slow.log"
    fixture.raises("CONFIG", "^slow_query is missing", collegedb.open, fixture.config { slow_query_log = path })
    fixture.raises("CONFIG", "^slow_query takes seconds", collegedb.open, fixture.config { slow_query = 0 })
    fixture.raises("CONFIG", "^slow_query_log: ", collegedb.open,
      fixture.config { slow_query = 1, slow_query_log = fixture.path "no/such" })
  end)
end)

describe("the health of a database", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("tells of each shard that it can be read, and how quickly", function()
    local db = database()
    local key = fixture.key_on(db, "a")
    db:insert(key, INSERT, { key })
    fixture.raises("CONSTRAINT", nil, db.insert, db, key, INSERT, { key })
    local health = db:health()
    assert.is_true(health.a.reachable and health.b.reachable)
    assert.is_true(health.a.latency > 0 and health.a.latency < 10000)
    assert.equal(1, health.a.errors)
    assert.is_true(health.a.p50 > 0 and health.a.p50 <= health.a.p99)
    assert.is_nil(health.b.p50)
    assert.is_nil(health.b.error)
  end)

  it("is told inside a transaction too", function()
    local db = database()
    local key = fixture.key_on(db, "a")
    db:transaction(key, function() assert.is_true(db:health().a.reachable) end)
  end)

  it("tells of a file that was removed", function()
    local db = database()
    os.remove(fixture.path "b.db")
    local health = db:health()
    assert.is_true(health.a.reachable)
    assert.is_false(health.b.reachable)
    assert.is_nil(health.b.latency)
    assert.is_true(collegedb.is_error(health.b.error, "UNAVAILABLE"))
    assert.matches("b%.db", health.b.error.message)
    os.remove(fixture.path "b.db-wal")
    os.remove(fixture.path "b.db-shm")
  end)
end)

describe("the metrics of a database", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function used()
    local db = database(nil)
    local key = fixture.key_on(db, "a")
    db:insert(key, INSERT, { key })
    for _ = 1, 5 do db:first(key, SELECT, { key }) end
    fixture.raises("CONSTRAINT", nil, db.insert, db, key, INSERT, { key })
    return db
  end

  it("are the statistics in the format of Prometheus", function()
    local db = used()
    local text, shard = db:metrics(), of(db, "a")
    local function value(line) return tonumber(text:match("\n" .. line:gsub("%p", "%%%0") .. " (%S+)\n")) end
    assert.equal(shard.writes, value 'collegedb_statements_total{shard="a",kind="write"}')
    assert.equal(shard.reads, value 'collegedb_statements_total{shard="a",kind="read"}')
    assert.equal(1, value 'collegedb_errors_total{shard="a",code="CONSTRAINT"}')
    assert.equal(shard.read.count, value 'collegedb_statement_duration_seconds_count{shard="a",kind="read"}')
    assert.equal(shard.read.count,
      value 'collegedb_statement_duration_seconds_bucket{shard="a",kind="read",le="+Inf"}')
    assert.is_true(value 'collegedb_shard_size_bytes{shard="a"}' > 0)
    assert.equal(core.state(db).epoch.number, value "collegedb_epoch")
    local last = 0
    for n in text:gmatch 'duration_seconds_bucket{shard="a",kind="read",le="[^"]+"} (%d+)' do
      assert.is_true(tonumber(n) >= last)
      last = tonumber(n)
    end
  end)

  it("have the names of shards as they are", function()
    local config = { kv = fixture.path "directory.db", shards = { { name = 'a"\\b', fixture.path "a.db" } } }
    local db = fixture.open(config)
    assert.matches('{shard="a\\"\\\\b"}', db:metrics(), 1, true)
  end)

  it("satisfy promtool", function()
    local promtool = core.file_id "build/tools/promtool" and "build/tools/promtool" or "promtool"
    if process.run({ promtool, "--version" }).status ~= 0 then
      assert(not os.getenv "CI", "there is no promtool: scripts/bootstrap test installs it")
      return pending "there is no promtool"
    end
    local done = process.run({ promtool, "check", "metrics" }, { input = used():metrics() })
    assert.equal(0, done.status, done.stdout .. done.stderr)
  end)

  it("of all programs are printed by the command", function()
    local config = ([[return { kv = "directory.db", shards = { a = "a.db", b = "b.db" }, statistics_dir = "stats" }]])
    fixture.write("collegedb.lua", config)
    local db = fixture.open(fixture.config { statistics_dir = fixture.path "stats" })
    db:shard("a"):first "SELECT 1"
    db:statistics { all = true } -- and it writes them now
    local function run(...)
      return process.run({ process.collegedb, "metrics", ... }, { folder = fixture.path "." })
    end
    local text = run()
    assert.equal("", text.stderr)
    assert.matches("\ncollegedb_programs 1\n", text.stdout)
    assert.matches('\ncollegedb_statements_total{shard="a",kind="read"} 1\n', text.stdout)
    local all = require("cjson").decode(run("--json").stdout)
    assert.equal(1, all.shards[1].reads)
    fixture.write("collegedb.lua", (config:gsub(", statistics_dir.-}", "}")))
    local refused = run()
    assert.equal(2, refused.status)
    assert.matches("statistics_dir", refused.stderr)
  end)
end)
