-- A directory on a shard that takes one statement at a time, used by several programs at once; programs that are
-- killed, and programs that sleep for longer than their lease.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local presence = require "collegedb.single_presence"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"
local NAMES <const> = { "a", "b", "c" }

-- In a program of its own: open(extra) opens the database.
local OPEN <const> = [[
  local core = require "collegedb.core"
  local handle = core.sqlite(folder .. "/directory.db", { name = "directory.db", single = true })
  local function open(extra)
    local config = { kv = handle, auto_migrate = true, shards = { { name = "a", folder .. "/a.db" },
      { name = "b", folder .. "/b.db" }, { name = "c", folder .. "/c.db" } } }
    for field, value in pairs(extra or {}) do config[field] = value end
    return collegedb.open(config)
  end
]]

local function open(extra, names)
  local config = fixture.config(extra, names or NAMES)
  config.kv = fixture.single "directory.db"
  return fixture.open(config)
end

local function count(sql) return fixture.rows("directory.db", sql)[1].n end

local function turns() return count "SELECT value AS n FROM _collegedb_counters WHERE name = 'turn:round_robin'" end
local function entries() return count "SELECT count(*) AS n FROM _collegedb_entries" end

describe("a directory that programs share by single statements", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("gives each key one shard, on which all agree", function()
    local db = open { strategy = "random" }
    db:ensure_schema(SCHEMA)
    db:close()
    local said = {}
    for _, output in ipairs(fixture.together(8, OPEN .. [[
      local db = open { strategy = "random" }
      wait_for_go()
      for i = 1, 40 do
        local key = "k" .. (i * 7 + arg[1]) % 60
        local done, err = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 1)", { key })
        if not done and err.code ~= "CONSTRAINT" then error(err, 0) end
        print(key, (db:locate(key)))
      end
      db:close()
    ]])) do
      for key, shard in output:gmatch "(k%d+)\t(%w+)\n" do
        assert.equal(said[key] or shard, shard, key)
        said[key] = shard
      end
    end
    local found = 0
    for key, shard in pairs(said) do
      assert.same({ shard }, fixture.holders(NAMES, "users", "id", key))
      found = found + 1
    end
    assert.equal(60, found)
    assert.equal(60, entries())
  end)

  it("spends one turn for each key", function()
    local db = open { strategy = "round_robin" }
    db:ensure_schema(SCHEMA)
    db:close()
    fixture.together(4, OPEN .. [[
      local db = open { strategy = "round_robin" }
      wait_for_go()
      for i = 1, 60 do
        local key = "u" .. (i + arg[1] // 3 * 20)
        local done, err = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 1)", { key })
        if not done and err.code ~= "CONSTRAINT" then error(err, 0) end
      end
      db:close()
    ]])
    assert.same({ 80, 80 }, { turns(), entries() })
    local _, by_shard = open({ strategy = "round_robin" }):count "users"
    table.sort(by_shard)
    assert.same({ a = 27, b = 27, c = 26 }, by_shard)
  end)

  it("is as it should be after programs were killed", function()
    local db = open { strategy = "round_robin" }
    db:ensure_schema(SCHEMA)
    db:close()
    local source = OPEN .. [[
      require("collegedb.moves").lease = 1
      local round, me = tonumber(arg[1]), tonumber(arg[2])
      if me <= 3 then os.execute(("( sleep 0.%d; kill -9 %%d ) &"):format(2 + (round + me) % 4):format(
        tonumber(io.open("/proc/self/stat"):read "n"))) end
      local db = open { strategy = "round_robin" }
      for i = 1, me <= 3 and 100000 or 40 do
        local key = ("r%d-%d"):format(round, me == 4 and i or i // 2 * 2)
        local done, err = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 1)", { key })
        if not done and err.code ~= "CONSTRAINT" then error(err, 0) end
        if i % 9 == 0 then
          done, err = pcall(db.reassign_shard, db, key, ("abc"):sub(i % 3 + 1, i % 3 + 1))
          if not done and err.code ~= "CONFLICT" then error(err, 0) end
        end
      end
      db:close()
      print "ended"
    ]]
    for round = 1, 3 do
      local pipes = {}
      for me = 1, 4 do pipes[me] = fixture.spawn(source, round, me) end
      for me = 1, 4 do
        local said = pipes[me]:read "a"
        pipes[me]:close()
        if me == 4 then assert.equal("ended\n", said) end
      end
    end
    db = open { strategy = "round_robin" }
    require("collegedb.recovery").run(core.state(db), true) -- none of them lives
    assert.same({}, db:verify().findings)
    assert.equal(entries(), turns())
    for row in core.state(db).shards[1].handle:each "SELECT id FROM users" do
      assert.equal("a", (db:locate(row.id)))
    end
  end)

  -- Two files with keys in common, integrated once a, once b: b's report and the entries.
  local function make_files()
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", SCHEMA .. "; CREATE TABLE numbers (id INTEGER PRIMARY KEY)")
      for k = i * 30, i * 30 + 49 do
        fixture.sqlite(name .. ".db", ("INSERT INTO users VALUES ('k%d', 1); INSERT INTO numbers VALUES (%d)"):format(k,
          k))
      end
    end
  end

  local function dump()
    return fixture.rows("directory.db", "SELECT hex(digest) AS d, shard, version FROM _collegedb_entries ORDER BY 1")
  end

  -- Whoever was killed is not there any more.
  local function end_leases()
    fixture.sqlite("directory.db", "UPDATE _collegedb_users SET until = 0")
  end

  it("goes on with an integration that was killed at any page", function()
    make_files()
    local settings <const> = { auto_migrate = false, strategy = "random", rules = { conflict = function(key)
      return (tostring(key):match "%d+" or 0) % 2 == 0 and "keep" or "error"
    end } }
    local function integrate(resume)
      local db = open(settings, { "a", "b" })
      if not resume then db:integrate "a" end
      local report = db:integrate("b", { page = 20, resume = resume })
      db:close()
      return report
    end
    local expected = integrate(false)
    assert.equal(40, expected.conflict_count)
    local entries_then = dump()
    local n, came = 0
    repeat
      n = n + 1
      for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(fixture.path("directory.db" .. suffix)) end
      local pipe = fixture.spawn((OPEN .. [[
        local n = 0
        local db = open { auto_migrate = false, strategy = "random", shards = { { name = "a", folder .. "/a.db" },
          { name = "b", folder .. "/b.db" } }, rules = { conflict = function(key)
            return (tostring(key):match "%%d+" or 0) %% 2 == 0 and "keep" or "error" end } }
        db:integrate "a"
        db:integrate("b", { page = 20, on_progress = function()
          n = n + 1
          if n == %d then
            print "killed" io.flush()
            os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n")
          end
        end })
        print "ended"]]):format(n))
      came = pipe:read "l"
      assert(came == "killed" or came == "ended", came)
      pipe:close()
      if came == "killed" then
        end_leases()
        assert.same(expected, integrate(true), "killed at " .. n)
      end
      assert.same(entries_then, dump(), "killed at " .. n)
    until came == "ended"
    assert.is_true(n > 5)
  end)
end)

describe("a lease of a directory", function()
  local lease, margin

  before_each(function()
    fixture.start()
    lease, margin = presence.lease, presence.margin
    presence.lease, presence.margin = 2, 1
  end)

  after_each(function()
    presence.lease, presence.margin = lease, margin
    fixture.stop()
  end)

  -- core.pause is of no certain length.
  local function outlast()
    local start = core.now()
    while core.now() - start < 3100 do core.pause(100) end
  end

  it("keeps an old placement until its program looks again, or was away for as long as that", function()
    local first = open({}, { "a", "b" })
    first:ensure_schema(SCHEMA)
    for i = 1, 30 do first:insert("k" .. i, INSERT, { "k" .. i }) end
    local second = open({}, { "a", "b" })
    second:add_shard { name = "c", fixture.path "c.db" }
    local report = second:rebalance()
    assert.same({ false, true }, { report.retired, report.waiting })
    outlast()
    report = second:rebalance()
    assert.is_true(report.retired)
    -- What is nowhere goes to its new home, and what was remembered is looked for anew.
    local keys = {}
    for i = 1, 200 do
      if second:locate("new" .. i) == "c" and #keys < 5 then keys[#keys + 1] = "new" .. i end
    end
    for _, key in ipairs(keys) do
      first:insert(key, INSERT, { key })
      assert.same({ "c" }, fixture.holders(NAMES, "users", "id", key))
    end
    for i = 1, 30 do assert(first:first("k" .. i, "SELECT n FROM users WHERE id = ?", { "k" .. i })) end
    assert.same({}, second:verify().findings)
  end)

  it("is renewed while it is used, by about two requests in its time", function()
    local db = open({}, { "a", "b" })
    db:ensure_schema(SCHEMA)
    local dir, renewed = core.state(db).directory, 0
    local shard = dir.store.shard
    dir.store.shard = setmetatable({}, { __index = function(_, method)
      return function(_, sql, params)
        if sql:find "UPDATE _collegedb_users" then renewed = renewed + 1 end
        return shard[method](shard, sql, params)
      end
    end })
    local start, i = core.now(), 0
    while core.now() - start < 2500 do
      i = i + 1
      db:first("k" .. i, "SELECT n FROM users WHERE id = ?", { "k" .. i })
      core.pause(20)
    end
    assert.is_true(renewed >= 3 and renewed <= 7, renewed)
    assert.equal(1, count "SELECT count(*) AS n FROM _collegedb_users WHERE until >= unixepoch()")
    dir.store.shard = shard
  end)

  it("keeps others from changing the placement alone, until it has run out", function()
    local first = open({}, { "a", "b" })
    first:ensure_schema(SCHEMA)
    first:insert("k", INSERT, { "k" })
    fixture.raises("BUSY", "another program has it open", open, {}, NAMES)
    outlast()
    local second = open({}, NAMES)
    assert.equal(1, (second:count "users"))
    -- The first one does not know the shard c: it says so where it would need it.
    local told
    for i = 1, 50 do
      local key = "new" .. i
      local done, err = pcall(first.insert, first, key, INSERT, { key })
      if not done then
        assert.equal("SHARD_NOT_FOUND", err.code)
        told = true
      end
    end
    assert.is_true(told)
    assert.same({}, second:verify().findings)
  end)

  it("of one that slept is not taken up again where it could do harm", function()
    local first = open({}, { "a", "b" })
    first:ensure_schema(SCHEMA)
    outlast()
    fixture.sqlite("c.db", SCHEMA .. "; INSERT INTO users VALUES ('here', 1)")
    local second = open({ auto_migrate = false }, NAMES)
    fixture.raises("UNAVAILABLE", "open the database again", first.insert, first, "here", INSERT, { "here" })
    assert.equal("c", (second:locate "here"))
  end)

  it("that has run out lets another program take the work over", function()
    local first = open({}, { "a", "b" })
    first:ensure_schema(SCHEMA)
    local journal = require "collegedb.journal"
    local job = journal.claim(core.state(first).directory, "rebalance", 0)
    local second = open({}, { "a", "b" })
    fixture.raises("BUSY", "moves keys", second.rebalance, second)
    outlast()
    assert.is_true(second:rebalance().success)
    local other = journal.claim(core.state(second).directory, "rebalance", 0)
    fixture.raises("CONFLICT", "taken this work over", job.begin, job, "signature", "plan", {})
    other:release()
    fixture.raises("CONFLICT", "taken this work over", job.note, job, "move", {})
    job:release()
    assert.is_true(first:rebalance().success)
  end)
end)
