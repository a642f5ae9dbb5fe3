-- What status tells of set-ups in every state, and that telling it changes nothing and keeps nobody waiting.

local collegedb = require "collegedb"
local config = require "collegedb.config"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"
local status = require "collegedb.status"
local view = require "collegedb.status_view"

local SCHEMA <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT)"

describe("status", function()
  local readers

  before_each(function()
    fixture.start()
    readers = {}
  end)
  after_each(function()
    for _, reader in ipairs(readers) do reader:close() end
    fixture.stop()
  end)

  local function reader_of(given)
    local reader = status.new(config.normalize(given))
    readers[#readers + 1] = reader
    return reader
  end

  local function read(given)
    local reader = status.new(config.normalize(given))
    local done, report = pcall(reader.read, reader)
    reader:close()
    assert(done, tostring(report))
    return report
  end

  local function shown(report) return table.concat(view.lines(report, 100), "\n") end

  local function shard(report, name)
    for _, each in ipairs(report.shards) do
      if each.binding == name then return each end
    end
  end

  -- A database with keys k1 to k40.
  local function make(extra, names)
    local db = fixture.open(fixture.config(extra, names))
    db:ensure_schema(SCHEMA)
    for i = 1, 40 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 'x')", { "k" .. i }) end
    return db, fixture.config(extra, names)
  end

  local function bytes_of_all()
    local all = {}
    for _, name in ipairs(fixture.files()) do all[name] = ("%q"):format(core.sha256(fixture.bytes(name))) end
    return all
  end

  it("counts keys and bytes, and says how even they are for the shards' weights", function()
    local db, given = make({ shards = { b = { weight = 3, region = "weur" } } })
    local report = read(given)
    local _, by_shard = db:count "users"
    assert.same({ by_shard.a, by_shard.b, 40 }, { report.shards[1].count, report.shards[2].count, report.keys })
    assert.equal(db:shard "a":size(), report.shards[1].size)
    assert.is_true(report.healthy)
    assert.is_true(report.balance.keys.ratio >= 1 and report.balance.keys.ratio < 1.7)
    assert.matches("weur ×3", shown(report))
    fixture.rows("a.db", "DELETE FROM users")
    assert.same({ shard = "b", ratio = 4 / 3 }, read(given).balance.keys)
    assert.matches("b has 1.3 times its part of the keys", shown(read(given)))
  end)

  it("looks at what was never opened, and makes nothing", function()
    local report = read(fixture.config())
    assert.same({ "new", 0, true }, { report.shards[1].state, report.keys, report.directory.new })
    assert.is_true(report.healthy)
    fixture.sqlite("a.db", SCHEMA .. "; INSERT INTO users VALUES ('here', 1)")
    assert.same({ "open", 1, false }, { read(fixture.config()).shards[1].state, read(fixture.config()).keys,
      read(fixture.config()).shards[1].integrated })
    assert.same({ "a.db" }, fixture.files())
    assert.matches("directory: none yet", shown(report))
  end)

  it("tells what is not reached in its row, and the rest as ever", function()
    local db, given = make()
    local _, by_shard = db:count "users"
    db:close()
    os.rename(fixture.path "b.db", fixture.path "away.db")
    local report = read(given)
    assert.is_false(report.healthy)
    assert.same({ "unreachable", "UNAVAILABLE" }, { report.shards[2].state, report.shards[2].error.code })
    assert.equal(by_shard.a, report.keys)
    assert.matches("\nb +%? .* unreachable\n", shown(report))
    assert.matches("\nb: there is no file ", shown(report))
    fixture.write("b.db", ("no database "):rep(500))
    assert.equal("CORRUPT", shard(read(given), "b").error.code)
    os.rename(fixture.path "away.db", fixture.path "b.db")
    local gone = collegedb.gateway { url = "http://127.0.0.1:1", token = "secret-token", deadline = 1 }
    given.shards[3] = { name = "c", gone:shard "C" }
    os.remove(fixture.path "directory.db")
    local began = core.now()
    report = read(given)
    assert.is_true(core.now() - began < 15000)
    assert.equal("unreachable", shard(report, "c").state)
    assert.not_matches("secret", shown(report))
    require("collegedb.net").close()
  end)

  it("tells a directory that is no directory", function()
    local db, given = make()
    db:close()
    fixture.write("directory.db", ("no database "):rep(500))
    local report = read(given)
    assert.is_false(report.healthy)
    assert.equal(40, report.keys)
    assert.matches("directory: .*file is not a database", shown(report))
  end)

  it("tells the states of shards", function()
    local db, given = make({ shards = { b = { allocate = false }, c = { max_size = 1000 },
      d = { external_writers = true } } }, { "a", "b", "c", "d" })
    local report = read(given)
    assert.same({ "open", "no new keys", "full", "open" }, { report.shards[1].state, report.shards[2].state,
      report.shards[3].state, report.shards[4].state })
    assert.matches("\nd .* others write", shown(report))
    db:drain "a"
    assert.equal("closed", read(given).shards[1].state)
  end)

  it("tells moves, and which have lost their program, without ending them", function()
    local db, given = make()
    movers.die(fixture.key_on(db, "a"), "copy", "a", "b")
    movers.unlock()
    local report = read(given) -- for all it knows, the move is of the program that has it open
    local move = report.moves.list[1]
    assert.same({ 1, 0, "a", "b", 1, "copying" }, { report.moves.live, report.moves.waiting, move.from, move.to,
      move.keys, move.step })
    assert.is_true(report.healthy and move.lease > 50 and os.time() - move.begun < 30)
    assert.matches("moves: 1 under way\n  move %d+ from a to b, 1 key, begun [^:]+; should its program be dead, it can "
      .. "be ended in %d+ s", shown(report))
    db:close()
    report = read(given)
    assert.same({ 0, 1, false }, { report.moves.live, report.moves.waiting, report.healthy })
    assert.matches("recovery needed: 1 move was left.*no program has the directory open; its lease ends in %d+ s",
      shown(report))
    movers.expire()
    local before = bytes_of_all()
    report = read(given)
    assert.same({ 0, 1, false }, { report.moves.live, report.moves.waiting, report.healthy })
    assert.matches("recovery needed: 1 move was left half way; collegedb doctor %-%-repair, or the next program",
      shown(report))
    assert.same(before, bytes_of_all())
    collegedb.open(given):close()
    assert.matches("moves: none", shown(read(given)))
  end)

  it("tells an earlier placement, and does not keep it", function()
    local db, given = make()
    db:add_shard { name = "c", fixture.path "c.db" }
    local reader = reader_of(given)
    local report = reader:read()
    assert.equal(1, report.directory.retiring)
    assert.matches("keys are also looked for where 1 earlier placement put them: collegedb rebalance ends",
      shown(report))
    assert.same({ 1, 3 }, { report.programs.count, #report.shards })
    db:rebalance()
    report = reader:read()
    assert.equal(0, report.directory.retiring)
    assert.equal("open", shard(report, "c").state)
    assert.is_true(report.directory.epoch > 0)
  end)

  it("goes on looking: new keys in ten seconds, shards that come and go at once", function()
    local db, given = make()
    local reader, now = reader_of(given), core.now
    finally(function() core.now = now end)
    assert.equal(40, reader:read().keys)
    db:insert("more", "INSERT INTO users VALUES ('more', 'x')")
    assert.equal(40, reader:read().keys)
    core.now = function() return now() + 11000 end
    assert.equal(41, reader:read().keys)
    core.now = now
    db:add_shard { name = "c", fixture.path "c.db" }
    assert.equal(3, #reader:read().shards)
    os.rename(fixture.path "b.db", fixture.path "away.db")
    assert.equal("unreachable", reader:read().shards[2].state)
    assert.equal("unreachable", reader:read().shards[2].state)
    os.rename(fixture.path "away.db", fixture.path "b.db")
    assert.equal("open", reader:read().shards[2].state)
  end)

  it("tells what running programs measure, else how long a small read takes", function()
    local db, given = make { statistics_dir = fixture.path "numbers" }
    for _ = 1, 3 do db:first("k1", "SELECT * FROM users WHERE id = 'k1'") end
    pcall(db.first, db, "k1", "SELECT * FROM nowhere")
    db:statistics { all = true } -- which shows them now, and not within a second
    local report = read(given)
    local sum = report.statistics
    assert.same({ "programs", 1, 40 }, { sum.source, sum.programs, sum.writes })
    assert.is_true(sum.reads >= 3 and sum.errors >= 1 and sum.read.p50 > 0 and sum.write.p99 >= sum.write.p50)
    assert.is_true(sum.cache.hit_rate > 0)
    assert.matches("statements +reads +p50 +p99 +writes +p50 +p99 +errors\n", shown(report))
    assert.matches("1 running program, for .*; mapping cache: [%d.]+ %% hits", shown(report))
    db:close()
    report = read(given)
    assert.equal("probe", report.statistics.source)
    assert.is_true(report.shards[1].latency > 0)
    assert.matches("no running program shows its numbers: the latency is that of one small read", shown(report))
  end)

  it("is as good with a directory of single statements, and in a table KV", function()
    local _, given = make { kv = fixture.single "single.db" }
    local report = read(given)
    assert.same({ 40, true, 1 }, { report.keys, report.healthy, report.programs.count })
    local kv = require("spec.support.table_kv").memory()
    local db = fixture.open { kv = kv, shards = { { name = "t", fixture.path "t.db" } } }
    db:ensure_schema(SCHEMA)
    db:insert("k", "INSERT INTO users VALUES ('k', 'x')")
    report = read { kv = kv, shards = { { name = "t", fixture.path "t.db" } } }
    assert.same({ 1, true, "a table KV" }, { report.keys, report.healthy, report.directory.name })
  end)

  it("works while programs move keys, and never takes a move that goes on for one that does not", function()
    local _, given = make()
    local stop = fixture.background [[
      local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = false,
        shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      local until_file = folder .. "/stop"
      print "ready" io.flush()
      local at = { [true] = "a", [false] = "b" }
      local turn = false
      repeat
        turn = not turn
        for i = 1, 10 do db:reassign_shard("k" .. i, at[turn]) end
        local file = io.open(until_file)
      until file]]
    local reader = reader_of(given)
    for _ = 1, 40 do
      local report = reader:read()
      assert.is_true(report.healthy, shown(report))
      core.pause(10)
    end
    stop()
  end)
end)
