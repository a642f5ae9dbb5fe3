-- Moves that take long: in chunks, with a lease that is renewed; taken for dead; interrupted.

local core = require "collegedb.core"
local fence = require "collegedb.fence"
local fixture = require "spec.support.fixture"
local moves = require "collegedb.moves"
local recovery = require "collegedb.recovery"
local staging = require "collegedb.staging"

local SHOP <const> = [[
CREATE TABLE users (id TEXT PRIMARY KEY, mail TEXT UNIQUE);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE, v);]]

local ORDERS <const> = 95

local function start()
  local db = fixture.database(SHOP)
  local key = fixture.key_on(db, "a")
  db:insert(key, "INSERT INTO users VALUES (?, 'x')", { key })
  db:run(key, [[INSERT INTO orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    SELECT i, ?, i * 1.5 FROM n]], { ORDERS, key })
  return db, key
end

local function rows(name)
  return fixture.rows(name .. ".db", [[SELECT (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM orders) AS orders, (SELECT sum(v) FROM orders) AS total]])[1]
end

-- The tables of the moves are as if none was under way.
local function check_settled(names)
  for _, name in ipairs(names) do
    for _, row in ipairs(fixture.rows(name .. ".db", [[SELECT name FROM sqlite_schema WHERE type = 'table'
        AND (name LIKE '\_collegedb\_stage\_%' ESCAPE '\' OR name = '_collegedb_open')]])) do
      assert.equal(0, fixture.rows(name .. ".db", ("SELECT count(*) AS n FROM %q"):format(row.name))[1].n, row.name)
    end
  end
  assert.equal(0, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
end

local settings = { lease = moves.lease, rows = staging.rows, bytes = staging.bytes, copy_rows = core.copy_rows,
  transaction = fence.transaction }

-- Calls f before each chunk of rows is copied to the target.
local function before_chunks(f)
  function core.copy_rows(...)
    if select("#", ...) > 3 then f() end
    return settings.copy_rows(...)
  end
end

-- Calls f before each transaction of a mover that copies.
local function between_chunks(f)
  function fence.transaction(...)
    f()
    return settings.transaction(...)
  end
end

describe("a long move", function()
  before_each(fixture.start)
  after_each(function()
    moves.lease, staging.rows, staging.bytes = settings.lease, settings.rows, settings.bytes
    core.copy_rows, fence.transaction = settings.copy_rows, settings.transaction
    fixture.stop()
  end)

  it("is copied in chunks, each a transaction", function()
    local db, key = start()
    local before, chunks = rows "a", 0
    staging.rows = 10
    before_chunks(function() chunks = chunks + 1 end)
    local report = db:reassign_shard(key, "b")
    assert.equal(ORDERS + 1, report.rows)
    assert.is_true(chunks >= 10, chunks .. " chunks")
    assert.same(before, rows "b")
    assert.equal(0, rows("a").users)
    check_settled { "a", "b" }
  end)

  it("ends a chunk after so many bytes, too", function()
    local db, key = start()
    local chunks = 0
    staging.bytes = 1000
    before_chunks(function() chunks = chunks + 1 end)
    db:run(key, "UPDATE orders SET v = zeroblob(500)")
    assert.is_true(db:reassign_shard(key, "b").moved)
    assert.is_true(chunks >= ORDERS / 2, chunks .. " chunks")
  end)

  it("keeps what must be unique for the chunks that are there", function()
    local db, key = start()
    local shard, tried = core.sqlite(fixture.path "b.db", { name = "b" }), 0
    staging.rows = 10
    between_chunks(function()
      local stage = shard:first "SELECT 1 AS yes FROM sqlite_schema WHERE name = '_collegedb_stage_users'"
      if not stage or shard:first("SELECT count(*) AS n FROM _collegedb_stage_users").n == 0 then return end
      tried = tried + 1
      fixture.raises("MOVED", nil, shard.run, shard, "INSERT INTO users VALUES ('another', 'x')")
    end)
    local done, err = pcall(db.reassign_shard, db, key, "b")
    core.close(shard)
    assert(done, err)
    assert.is_true(tried >= 9, tried .. " tries")
  end)

  it("renews its lease, so that nobody takes it for dead", function()
    local db, key = start()
    local other = fixture.open(fixture.config())
    moves.lease, staging.rows = 2, 20
    local seen = {}
    between_chunks(function()
      core.pause(1200)
      local report = recovery.run(core.state(other))
      seen[#seen + 1] = report.live
      assert.equal(0, report.undone)
    end)
    assert.equal(ORDERS + 1, db:reassign_shard(key, "b").rows)
    assert.is_true(#seen >= 5, #seen .. " chunks")
    check_settled { "a", "b" }
  end)

  it("that others took for dead ends with MOVED, and changes nothing", function()
    local db, key = start()
    local other = fixture.open(fixture.config())
    local before, n = rows "a", 0
    staging.rows = 20
    between_chunks(function()
      n = n + 1
      if n == 4 then recovery.run(core.state(other), true) end
    end)
    local done, err = pcall(db.reassign_shard, db, key, "b")
    fence.transaction = settings.transaction
    assert.is_false(done)
    assert.equal("MOVED", err.code)
    assert.same(before, rows "a")
    assert.equal(0, rows("b").users)
    check_settled { "a", "b" }
    db:run(key, "UPDATE users SET mail = 'y' WHERE id = ?", { key })
    assert.is_true(db:reassign_shard(key, "b").moved)
  end)

  it("that is interrupted, wherever it is, is undone or finished", function()
    local db, key = start()
    local before = rows "a"
    staging.rows = 40
    local at, interrupted, ends = 300, 0, { a = 0, b = 0 }
    repeat
      local from = db:locate(key)
      debug.sethook(function()
        debug.sethook()
        error "interrupted!"
      end, "", at)
      local done, err = pcall(db.reassign_shard, db, key, from == "a" and "b" or "a")
      debug.sethook()
      assert(done or tostring(err):find "interrupted!$", tostring(err))
      if not done then interrupted = interrupted + 1 end
      db:flush_cache()
      local now = db:locate(key)
      ends[now] = ends[now] + 1
      assert.same(before, rows(now))
      assert.equal(0, rows(now == "a" and "b" or "a").users)
      db:run(key, "UPDATE users SET mail = 'x' WHERE id = ?", { key })
      at = at + 83
    until done
    assert.is_true(interrupted > 20, interrupted .. " interrupts")
    recovery.run(core.state(db), true)
    check_settled { "a", "b" }
    assert.is_true(ends.a > 0)
  end)
end)
