-- D1 databases behind the gateway, on a network that fails between: a write is done once, however often it has to be
-- sent; with the Worker on Cloudflare's own engine.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"

local DEADLINE <const> = 10
local overloaded = faults.answers(429, '{"success":false,"errors":[{"code":"BUSY","message":"D1 DB is overloaded."}]}')

-- The ways to fail at one request. After all of them the same request comes again.
local ways <const> = {
  { "the answer is lost", { pass = true, part = 0 } },
  { "the answer is cut off", { pass = true, part = 90, ending = "reset" } },
  { "the answer is lost twice", { pass = true, part = 0, times = 2 } },
  { "the request is lost", {} },
  { "something in between answers", faults.html(502) },
  { "there is too much to do", overloaded },
}

describe("the gateway behind a network", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  local worker, used, through, db, at

  setup(function()
    local names = {}
    for i = 1, 60 do names[i] = "DB_" .. i end
    worker, used = gateway.start { databases = names }, 0
  end)
  teardown(function() worker.stop() end)

  before_each(function()
    fixture.start()
    faults.start()
    through = faults.stand_before(worker.url)
    at = collegedb.gateway { url = through, token = gateway.token, deadline = DEADLINE }
    local shards = {}
    for i, name in ipairs { "a", "b" } do
      used = used + 1
      shards[i] = { name = name, at:shard("DB_" .. used) }
    end
    db = fixture.open { kv = "memory:", shards = shards, auto_migrate = true }
    db:ensure_schema [[CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER);
      CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, user TEXT REFERENCES users (id) ON DELETE CASCADE)]]
    db:run("u", "INSERT INTO users VALUES ('u', 0)")
  end)
  after_each(function()
    faults.network()
    db:close()
    net.close()
    faults.stop()
    fixture.stop()
  end)

  local function n_of(key) return db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n end
  local ADD <const> = "UPDATE users SET n = n + 1 WHERE id = 'u'"

  it("that loses one answer in three: 200 increments are 200", function()
    for i = 1, 200 do
      if i % 3 == 0 then faults.at(1, { pass = true, part = i % 2 == 0 and 0 or 70 }) end
      assert.equal(1, db:run("u", ADD).meta.changes)
    end
    assert.equal(200, n_of "u")
  end)

  it("that loses any part of any answer", function()
    for part = 0, 400, 7 do
      local before = n_of "u"
      faults.at(1, { pass = true, part = part, ending = part % 2 == 0 and "reset" or "close" })
      assert.equal(1, db:run("u", ADD).meta.changes, part)
      faults.network()
      assert.equal(before + 1, n_of "u", part)
    end
  end)

  -- What is done once each time, and what it gives. `i` counts the calls.
  local calls <const> = {
    { "an update", function() return db:run("u", ADD).meta.changes end, 1 },
    { "an insert", function(i) return db:run("u", "INSERT INTO log VALUES (?, 'u')", { i }).meta.last_row_id == i end,
      true },
    { "an insert that does nothing", function()
      return db:run("u", "INSERT OR IGNORE INTO users VALUES ('u', 0)").meta.changes
    end, 0 },
    { "a batch", function(i)
      local results = db:batch("u", { { ADD }, { "INSERT INTO log VALUES (?, 'u')", { i } },
        { "UPDATE log SET n = n WHERE user = 'u' AND n < ?", { -1 } } })
      return ("%d %d %d %d"):format(results[1].meta.changes, results[2].meta.changes,
        results[2].meta.last_row_id - i, results[3].meta.changes)
    end, "1 1 0 0" },
    { "a script", function(i)
      db:shard("a"):exec(("CREATE TABLE x%d (a); INSERT INTO x%d VALUES (1)"):format(i, i))
      return db:shard("a"):first(("SELECT count(*) AS n FROM x%d"):format(i)).n
    end, 1 },
    { "a read", function() return db:first("u", "SELECT count(*) AS n FROM users WHERE id = 'u'").n end, 1 },
  }

  local counter = 0
  for _, way in ipairs(ways) do
    it("where " .. way[1] .. ": all is done once", function()
      for _, call in ipairs(calls) do
        counter = counter + 1
        local before = n_of "u"
        local adds = (call[1] == "an update" or call[1] == "a batch") and 1 or 0
        faults.at(1, way[2])
        assert.equal(call[3], call[2](counter), call[1])
        faults.network()
        assert.equal(before + adds, n_of "u", call[1])
      end
    end)

    it("where " .. way[1] .. " at any request of a move", function()
      for n = 1, 12 do
        local to = db:locate "u" == "a" and "b" or "a"
        local before = n_of "u"
        faults.at(n, way[2])
        db:reassign_shard("u", to)
        faults.network()
        assert.equal(to, (db:locate "u"))
        assert.equal(before, n_of "u")
        assert.equal(1, (db:count "users"))
      end
      assert.is_true(db:verify().success)
    end)
  end

  it("that loses the answer with the rows of a write says so, and has done it once", function()
    faults.at(1, { pass = true, part = 0 })
    fixture.raises("OUTCOME_UNKNOWN", "was done", db.run, db, "u", ADD .. " RETURNING n")
    assert.equal(1, n_of "u")
    local batch = { { ADD }, { ADD .. " RETURNING n" } }
    assert.equal(3, db:batch("u", batch)[2].results[1].n)
    assert.equal(5, db:batch("u", batch)[2].results[1].n) -- what is asked for before is known from now on
    faults.at(1, { pass = true, part = 0 })
    fixture.raises("OUTCOME_UNKNOWN", "was done", db.batch, db, "u", batch)
    assert.equal(7, n_of "u")
    assert.equal(8, db:first("u", ADD .. " RETURNING n").n)
  end)

  -- A shard by itself, which is closed after the test.
  local function open_shard(value)
    local handle = value:open "alone"
    fixture.track { close = function() core.close(handle) end }
    return handle
  end

  it("that fails for good: a write may have been done, a read is UNAVAILABLE, what was refused was not done", function()
    local short = open_shard(collegedb.gateway { url = through, token = gateway.token, deadline = 1 }
      :shard("DB_" .. used))
    short:exec "CREATE TABLE t (a)"
    faults.network { times = 100000 }
    local err = fixture.raises("OUTCOME_UNKNOWN", "may have been done", short.run, short, "INSERT INTO t VALUES (1)")
    assert(not tostring(err):find(gateway.token, 1, true))
    local done, failed = pcall(short.first, short, "SELECT * FROM t")
    assert(not done and (failed.code == "UNAVAILABLE" or failed.code == "TIMEOUT"))
    faults.network { pass = true, part = 0, times = 100000 }
    fixture.raises("OUTCOME_UNKNOWN", nil, short.run, short, "INSERT INTO t VALUES (2)")
    faults.network()
    local rows = short:all "SELECT a FROM t"
    assert.same({ { a = 2 } }, rows)
    fixture.raises("CONSTRAINT", nil, db.run, db, "u", "INSERT INTO users VALUES ('u', 1)")
    faults.at(1, { pass = true, part = 0 })
    fixture.raises("CONSTRAINT", nil, db.run, db, "u", "INSERT INTO users VALUES ('u', 1)")
    faults.at(1, { pass = true, part = 0 })
    fixture.raises("SQL", "nowhere", db.shard(db, "a").run, db:shard "a", "INSERT INTO nowhere VALUES (1)")
  end)

  it("with a token that is wrong, or only reads", function()
    local wrong = open_shard(collegedb.gateway({ url = worker.url, token = "mistaken" }):shard("DB_" .. used))
    local err = fixture.raises("AUTH", nil, wrong.first, wrong, "SELECT 1 AS one")
    assert(not tostring(err):find("mistaken", 1, true))
    local reads = open_shard(collegedb.gateway({ url = worker.url, token = gateway.read_token }):shard("DB_" .. used))
    assert.equal(1, reads:first("SELECT 1 AS one").one)
    assert.equal(1, reads:batch({ { "SELECT 1 AS one" } })[1].results[1].one)
    fixture.raises("READONLY", nil, reads.run, reads, "UPDATE users SET n = 1")
    fixture.raises("READONLY", nil, reads.batch, reads, { { "UPDATE users SET n = 1" } })
    local nowhere = open_shard(collegedb.gateway({ url = worker.url, token = gateway.token }):shard "DB_OF_NOBODY")
    fixture.raises("CONFIG", "COLLEGEDB_DATABASES", nowhere.first, nowhere, "SELECT 1 AS one")
  end)
end)
