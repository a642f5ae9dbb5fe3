-- A database with D1 shards on a network that fails at one request of a call: the n-th one of each operation, in every
-- way, with Cloudflare's own engine behind it. What is promised: the right result, or an error that says what is known;
-- no write that is done twice; no call that hangs; and the operation goes through when it is tried again.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"

local DEADLINE <const> = 1
local overloaded = faults.answers(429, '{"success":false,"errors":[{"code":7500,"message":"D1 DB is overloaded. '
  .. 'Requests queued for too long."}],"messages":[],"result":null}')

-- The ways to fail: what happens, and what is known of a write then.
local ways <const> = {
  { "the answer is lost", { pass = true, part = 0 }, "OUTCOME_UNKNOWN" },
  { "the answer is cut off", { pass = true, part = 90, ending = "reset" }, "OUTCOME_UNKNOWN" },
  { "the request is lost", {}, "OUTCOME_UNKNOWN" },
  { "a gateway answers", faults.html(502), "OUTCOME_UNKNOWN" },
  { "D1 is overloaded", overloaded, "BUSY" },
  { "the answer never comes", { pass = true, part = 0, ending = "stall" }, "OUTCOME_UNKNOWN", slow = true },
}

local rest = kinds.rest

describe("a database with D1 shards, when at one request", function()
  if kinds.skip(rest, it, function(why) pending(why) end) then return end
  local endpoint, names, used, through, db, config, values

  setup(function()
    endpoint, names = engine.start(900)
    used = 0
  end)
  teardown(engine.stop)
  before_each(function()
    fixture.start()
    faults.start()
    through = faults.stand_before(endpoint)
  end)
  after_each(function()
    faults.network()
    if db then db:close() end
    db = nil
    net.close()
    faults.stop()
    fixture.stop()
  end)

  -- Two new databases, each with a table of users of whom some live there already; not yet opened.
  local function new_world()
    if db then db:close() end
    db, values, config = nil, {}, { kv = "memory:", auto_migrate = true, shards = {} }
    for i, name in ipairs { "a", "b" } do
      used = used + 1
      local database = assert(names[used], "no database is left")
      local direct = collegedb.d1({ database = database, endpoint = endpoint }):open(name)
      fixture.track { close = function() core.close(direct) end }
      values[name] = direct
      values[name]:run "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
      values[name]:run(("INSERT INTO users SELECT 'old-%s-' || value, 0 FROM json_each('[1,2,3]')"):format(name))
      config.shards[i] = { name = name, collegedb.d1 { database = database, endpoint = through, deadline = DEADLINE } }
    end
    config.kv = fixture.path(("directory%d.db"):format(used))
  end

  local function open() db = collegedb.open(config) end

  -- What the database holds, past the network.
  local function look(sql, ...) return values.a:first(sql, ...), values.b:first(sql, ...) end
  local function sum(sql, params)
    local a, b = look(sql, params)
    return (a and a.n or 0) + (b and b.n or 0)
  end

  local key, number = nil, 0 -- a new key, on the shard a

  local function new_key()
    repeat number = number + 1 until db:locate("k" .. number) == "a"
    key = "k" .. number
  end

  local function user() return sum("SELECT n FROM users WHERE id = ?", { key }) end

  -- A write to the key's row, or of it, was done once if it says so, and at most once if nobody knows.
  local function is_once(n, done, code)
    assert(n == 1 and (done or code == "OUTCOME_UNKNOWN") or n == 0 and not done, n)
  end
  local function check_row(done, code) is_once(user(), done, code) end

  local ADD <const>, GET <const> = "UPDATE users SET n = n + 1 WHERE id = ?", "SELECT n FROM users WHERE id = ?"

  -- Calls on an open database: { what, f, is there a row of the key?, what to look at after a write }.
  local operations = {
    { "insert", function() db:insert(key, "INSERT INTO users VALUES (?, 1)", { key }) end, false,
      function(done, code) is_once(sum("SELECT count(*) AS n FROM users WHERE id = ?", { key }), done, code) end },
    { "update", function() assert.equal(1, db:run(key, ADD, { key }).meta.changes) end, true, check_row },
    { "write that returns a row", function() assert.equal(1, db:first(key, ADD .. " RETURNING n", { key }).n) end,
      true, check_row },
    { "write in a loop", function()
      for row in db:each(key, ADD .. " RETURNING n", { key }) do assert.equal(1, row.n) end
    end, true, check_row },
    { "write to a shard", function() db:shard("a"):run(ADD, { key }) end, true, check_row },
    { "write to all shards", function() db:run_all_shards(ADD, { key }) end, true,
      function(done, code) is_once(user(), done or user() == 1, code) end },
    { "script", function() db:shard("a"):exec((ADD:gsub("?", "'" .. key .. "'")) .. "; SELECT 1") end, true,
      function(done) assert(user() == 1 or not done) end },
    { "first", function() assert.equal(0, db:first(key, GET, { key }).n) end, true },
    { "first of no row", function() assert.is_nil(db:first("nobody" .. number, GET, { "nobody" .. number })) end },
    { "all", function() assert.same({ { n = 0 } }, db:all(key, GET, { key })) end, true },
    { "select", function() assert.same({ { n = 0 } }, db:run(key, GET, { key }).results) end, true },
    { "each", function()
      local seen = 0
      for row in db:each(key, "SELECT id, n FROM users WHERE id = ?", { key }) do
        assert.equal(key, row.id)
        seen = seen + 1
      end
      assert.equal(1, seen)
    end, true },
    { "each over pages", function()
      local total = 0
      for row in db:each(key, "SELECT i FROM pages WHERE i > ?", { 10 }) do total = total + row.i end
      assert.equal(2500 * 2501 // 2 - 55, total)
    end },
    { "read of all shards", function()
      local results = db:run_all_shards "SELECT count(*) AS n FROM users WHERE id LIKE 'old-%'"
      assert.same({ 3, 3 }, { results.a.results[1].n, results.b.results[1].n })
    end },
    { "count", function() assert.equal(sum "SELECT count(*) AS n FROM users", (db:count "users")) end },
    { "statistics", function() assert.equal(2, #db:get_shard_stats()) end },
    { "size", function() assert(db:shard("a"):size() > 0) end },
    { "verify", function()
      local report = db:verify()
      assert.same({ true, {} }, { report.success, report.findings })
    end },
  }

  -- Runs f with the fault at its n-th request. Returns whether it was done, the error's code, how many requests came,
  -- and the error. `usual` is how long it may take when all is well: 1 s if it is not said.
  local function attempt(f, n, step, usual)
    faults.at(n, step)
    local before, began = faults.count "*", core.now()
    local done, err = pcall(f)
    local took = core.now() - began
    local requests = faults.count "*" - before
    faults.network()
    if not done and not collegedb.is_error(err) then error(err, 0) end
    assert(took < DEADLINE * 1000 + (usual or 1000), ("it took %d ms: %s"):format(took, tostring(err)))
    return done, not done and err.code or nil, requests, err
  end

  -- How many requests it takes when all is well.
  local function requests_of(name, f)
    local done, code, requests, err = attempt(f, 1000, nil, 60000)
    assert(done, name .. ": " .. tostring(err))
    return requests, code
  end

  local function range(count)
    local list = {}
    for i = 1, count do list[i] = i end
    return list
  end

  local READ_CODES <const> = { UNAVAILABLE = true, TIMEOUT = true, BUSY = true }

  for index, way in ipairs(ways) do
    local what, step, of_write = table.unpack(way)
    describe(what, function()
      it("is right in every call", function()
        new_world()
        open()
        values.a:exec [[CREATE TABLE pages (i INTEGER);
          INSERT INTO pages WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2500)
            SELECT i FROM c]]
        for _, operation in ipairs(operations) do
          local name, f, row, check = table.unpack(operation, 1, 4)
          local function prepare()
            new_key()
            if row then values.a:run("INSERT INTO users VALUES (?, 0)", { key }) end
          end
          prepare()
          local count = requests_of(name, f)
          assert(count < 60, name .. count)
          -- Each request where the answer is lost; elsewhere the first, and one more.
          for _, n in ipairs(index == 1 and range(count) or { 1, count > 1 and index % count + 1 or nil }) do
            prepare()
            local done, code = attempt(f, n, step)
            local label = ("%s, request %d of %d: %s"):format(name, n, count, done and "done" or code)
            if not done then
              assert(READ_CODES[code] or (check and code == of_write), label)
              -- A single failure of a read is made good, unless it took all the time there is.
              assert(check or way.slow, label)
            end
            if check then
              local held, why = pcall(check, done, code)
              assert(held, label .. ": " .. tostring(why))
            end
          end
        end
        assert.is_true(db:verify().success)
      end)

      it("opens, takes over and makes tables, or does so the next time", function()
        local function integrated()
          for _, name in ipairs { "a", "b" } do
            for i = 1, 3 do
              local old = ("old-%s-%d"):format(name, i)
              assert.equal(name, (db:locate(old)))
              assert.equal(0, db:first(old, "SELECT n FROM users WHERE id = ?", { old }).n)
            end
          end
          assert.is_true(db:verify().success)
        end
        local function by_hand()
          new_world()
          config.auto_migrate = false
          open()
        end
        local function by_shard()
          for _, name in ipairs { "a", "b" } do
            local report = db:integrate(name)
            assert.same({ true, 3 }, { report.success, report.total_records })
          end
        end
        local function more()
          db:ensure_schema [[CREATE TABLE IF NOT EXISTS more (id TEXT PRIMARY KEY);
            CREATE INDEX IF NOT EXISTS more_i ON more (id)]]
        end
        local function has_more()
          assert.equal(4, sum "SELECT count(*) AS n FROM sqlite_schema WHERE name LIKE 'more%'")
          db:insert("m", "INSERT INTO more VALUES ('m')")
        end
        local function move() assert.equal("b", db:reassign_shard("old-a-1", "b").to) end
        local function has_moved()
          assert.equal("b", (db:locate "old-a-1"))
          assert.same({ n = 0 }, db:first("old-a-1", GET, { "old-a-1" }))
          assert.equal(1, sum "SELECT count(*) AS n FROM users WHERE id = 'old-a-1'")
          assert.is_true(db:verify().success)
        end
        for _, operation in ipairs {
          { "move", function()
            new_world()
            open()
          end, move, has_moved },
          { "open", new_world, open, integrated },
          { "integrate", by_hand, by_shard, integrated },
          { "ensure_schema", by_hand, more, has_more },
        } do
          local name, prepare, f, check = table.unpack(operation)
          prepare()
          local count = requests_of(name, f)
          check()
          local points = index == 1 and 8 or 2
          for n = 1 + index * 7 % (count // points + 1), count, count // points + 1 do
            prepare()
            local done, code = attempt(f, n, step, 1000 + count * 50)
            local label = ("%s, request %d of %d: %s"):format(name, n, count, done and "done" or code)
            assert(done or READ_CODES[code] or code == of_write, label)
            local again, why = pcall(function()
              if not done then f() end
              check()
            end)
            assert(again, label .. ": " .. tostring(why))
          end
        end
      end)
    end)
  end

  it("one answer in three is lost, does each of 200 writes once at most, and each it says is done", function()
    new_world()
    open()
    for _, name in ipairs { "a", "b" } do
      db:shard(name):run "CREATE TABLE log (op INTEGER, user TEXT PRIMARY KEY)"
    end
    new_key()
    local acknowledged = {}
    for i = 1, 200 do
      if i % 3 == 0 then faults.at(1, { pass = true, part = i % 2 == 0 and 0 or 70 }) end
      local sql = i % 5 == 0 and "INSERT INTO log (op) VALUES (?) RETURNING op" or "INSERT INTO log (op) VALUES (?)"
      local done, err = pcall(db.run, db, key, sql, { i })
      if done then acknowledged[#acknowledged + 1] = i else assert.equal("OUTCOME_UNKNOWN", err.code) end
    end
    assert.equal(134, #acknowledged)
    assert.equal(0, #values.a:all "SELECT op FROM log GROUP BY op HAVING count(*) > 1")
    local applied = {}
    for _, row in ipairs(values.a:all "SELECT op FROM log") do applied[row.op] = true end
    for _, i in ipairs(acknowledged) do assert.is_true(applied[i]) end
  end)

  it("and all that follow a shard is away, says so for its keys and serves others", function()
    new_world()
    config.shards[2][1] = fixture.path "b.db"
    fixture.sqlite("b.db", [[CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
      INSERT INTO users VALUES ('old-b-1', 0)]])
    open()
    faults.network({ times = 100000 })
    local function fails(f, ...)
      local began = core.now()
      local done, err = pcall(f, ...)
      assert(core.now() - began < (DEADLINE + 1) * 1000)
      assert(not done and (err.code == "UNAVAILABLE" or err.code == "TIMEOUT"), tostring(err))
      assert.equal("a", err.shard)
      return err
    end
    fails(db.first, db, "old-a-1", "SELECT n FROM users WHERE id = 'old-a-1'")
    fails(db.count, db, "users")
    fails(db.get_shard_stats, db)
    local err = fails(db.run_all_shards, db, "SELECT count(*) AS n FROM users")
    assert.equal(1, err.results.b.results[1].n)
    fails(db.verify, db)
    assert.equal(0, db:first("old-b-1", "SELECT n FROM users WHERE id = 'old-b-1'").n)
    err = fixture.raises("OUTCOME_UNKNOWN", nil, db.run, db, "old-a-1", "UPDATE users SET n = 1 WHERE id = 'old-a-1'")
    assert.equal("a", err.shard)
    db:close()
    fails(open)
    faults.network()
    open()
    assert.equal(0, db:first("old-a-1", "SELECT n FROM users WHERE id = 'old-a-1'").n)
  end)
end)
