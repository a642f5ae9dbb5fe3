-- Shards are added and emptied while programs run, and keys go where they are at home now.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local USERS <const> = [[CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER);
  CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE);
  CREATE INDEX IF NOT EXISTS orders_user ON orders (user)]]
local INSERT <const> = "INSERT INTO users VALUES (?, ?)"
local SELECT <const> = "SELECT n FROM users WHERE id = ?"

local function fill(db, from, to)
  for i = from, to do
    local key = "u" .. i
    db:insert(key, INSERT, { key, i })
    db:insert(key, "INSERT INTO orders VALUES (?, ?)", { i, key })
  end
end

local function assert_all(db, from, to)
  for i = from, to do
    local row = db:first("u" .. i, SELECT, { "u" .. i })
    assert(row and row.n == i, "u" .. i .. " is not found")
    assert(db:first("u" .. i, "SELECT 1 FROM orders WHERE id = ? AND user = ?", { i, "u" .. i }), "order of u" .. i)
  end
end

local function counts(names)
  local out, total = {}, 0
  for _, name in ipairs(names) do
    out[name] = fixture.rows(name .. ".db", "SELECT count(*) AS n FROM users")[1].n
    total = total + out[name]
  end
  return out, total
end

local function entries() return fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n end

describe("growing", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local ABC <const> = { "a", "b", "c" }

  it("adds a shard while others run, which take it up", function()
    local one = fixture.database(USERS)
    local two = fixture.open(fixture.config())
    fill(one, 1, 60)
    assert.same({ shard = "c", retiring = true }, one:add_shard { name = "c", fixture.path "c.db" })
    assert_all(two, 1, 60)
    fill(two, 61, 120)
    assert_all(one, 1, 120)
    assert_all(two, 1, 120)
    local by_shard, total = counts(ABC)
    assert.equal(120, total)
    assert.is_true(by_shard.c > 5 and by_shard.c < 40, "on c: " .. by_shard.c)
    assert.same({ "a", "b", "c" }, two:list_known_shards())
    assert.equal(0, entries())
    assert.is_true(one:verify().success)
  end)

  it("brings the keys home, and needs no old placement then", function()
    local one = fixture.database(USERS)
    fill(one, 1, 90)
    one:add_shard { name = "c", fixture.path "c.db" }
    local plan = one:rebalance { dry_run = true }
    assert.is_true(plan.planned > 10 and plan.planned < 60, plan.planned .. " planned")
    assert.equal(0, counts(ABC).c)
    local report = one:rebalance()
    assert.is_true(report.success and report.retired, require("collegedb.json").encode(report))
    assert.equal(plan.planned, report.moved)
    assert.equal(2 * report.moved, report.rows)
    local by_shard, total = counts(ABC)
    assert.equal(90, total)
    assert.equal(report.moved, by_shard.c)
    assert.equal(0, entries())
    assert_all(one, 1, 90)
    assert.equal("home", select(2, one:locate "u1"))
    assert.equal(0, one:rebalance().planned)
    one:close()
    local again = fixture.open(fixture.config()) -- the directory tells of c
    assert_all(again, 1, 90)
    assert.is_true(again:verify().success)
    again:close()
    assert_all(fixture.open(fixture.config(nil, ABC)), 1, 90)
  end)

  it("keeps the old placement while a program works in it", function()
    local one = fixture.database(USERS)
    local two = fixture.open(fixture.config())
    fill(one, 1, 60)
    one:add_shard { name = "c", fixture.path "c.db" }
    local report = one:rebalance()
    assert.is_true(report.success and report.waiting and not report.retired)
    assert_all(two, 1, 60)
    fill(two, 61, 62)
    report = one:rebalance()
    assert.is_true(report.success and report.retired)
  end)

  it("refuses the insert of a program that was stopped before, and does it elsewhere", function()
    local one = fixture.database(USERS)
    local two, before = fixture.open(fixture.config()), {}
    for i = 1, 1000 do before["k" .. i] = two:locate("k" .. i) end
    one:add_shard { name = "c", fixture.path "c.db" }
    local key
    for i = 1, 1000 do
      key = "k" .. i
      if one:locate(key) == "c" then break end
    end
    local stale = two:shard(before[key]) -- where a program inserts it that has looked before, and is slow
    one:insert(key, INSERT, { key, 1 })
    fixture.raises("MOVED", nil, stale.run, stale, INSERT, { key, 2 })
    fixture.raises("CONSTRAINT", nil, two.insert, two, key, INSERT, { key, 2 })
    assert.equal(1, two:first(key, SELECT, { key }).n)
  end)

  it("changes weights, and changes them back, before anything was moved", function()
    local one = fixture.database(USERS)
    fill(one, 1, 40)
    for round, weight in ipairs { 5, 1, 0.2, 1 } do
      local two = fixture.open(fixture.config { shards = { a = { weight = weight } } })
      fill(one, round * 20 + 21, round * 20 + 30)
      fill(two, round * 20 + 31, round * 20 + 40)
      assert_all(one, 1, round * 20 + 40)
      assert_all(two, 1, round * 20 + 40)
      two:close()
    end
    local _, total = counts { "a", "b" }
    assert.equal(120, total)
    assert.is_true(one:rebalance().retired)
    assert_all(one, 1, 120)
    assert.is_true(one:verify().success)
    assert.equal(0, entries())
  end)

  it("brings a key home that was inserted and deleted under placements of before", function()
    local a = fixture.database(USERS)
    for i = 1, 30 do a:insert("u" .. i, INSERT, { "u" .. i, i }) end
    local function delete_all(db)
      for i = 1, 30 do db:run("u" .. i, "DELETE FROM users WHERE id = ?", { "u" .. i }) end
    end
    delete_all(a)
    for round, weight in ipairs { 9, 0.1, 1, 30 } do
      local other = fixture.open(fixture.config { shards = { a = { weight = weight } } })
      for i = 1, 30 do other:insert("u" .. i, INSERT, { "u" .. i, i }) end
      for i = 1, 30 do assert.equal(i, a:first("u" .. i, SELECT, { "u" .. i }).n) end
      if round < 4 then delete_all(round % 2 == 1 and a or other) end
      other:close()
    end
    local report = a:rebalance()
    assert.is_true(report.retired)
    for i = 1, 30 do
      assert.equal("home", select(2, a:locate("u" .. i)))
      assert.same({ (a:locate("u" .. i)) }, fixture.holders({ "a", "b" }, "users", "id", "u" .. i))
    end
    delete_all(a)
    for i = 1, 30 do a:insert("u" .. i, INSERT, { "u" .. i, i }) end
    a:close()
    a = fixture.open(fixture.config { shards = { a = { weight = 30 } } })
    for i = 1, 30 do assert.equal(i, a:first("u" .. i, SELECT, { "u" .. i }).n) end
    assert.is_true(a:verify().success)
  end)

  it("puts tables that come later behind the fence too", function()
    local one = fixture.database(USERS)
    fill(one, 1, 30)
    one:add_shard { name = "c", fixture.path "c.db" }
    one:rebalance()
    one:ensure_schema "CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, text TEXT)"
    local gone
    for _, row in ipairs(one:shard("c"):all "SELECT id FROM users") do gone = row.id end
    local refused = 0
    for _, name in ipairs { "a", "b" } do
      local shard = one:shard(name)
      local done, e = pcall(shard.run, shard, "INSERT INTO notes VALUES (?, 'x')", { gone })
      if not done then
        assert.equal("MOVED", e.code)
        refused = refused + 1
      end
    end
    assert.equal(1, refused)
  end)

  it("finishes at the next open what a program left that died while it closed a shard", function()
    local db = fixture.database(USERS, nil, ABC)
    fill(db, 1, 30)
    local change = getmetatable(require("collegedb.core").state(db).directory).__index.change
    local directory = require("collegedb.core").state(db).directory
    local seal = require("collegedb.growing").seal
    require("collegedb.growing").seal = function(state, index)
      directory.change = function() error("killed", 0) end
      return seal(state, index)
    end
    pcall(db.drain, db, "b")
    require("collegedb.growing").seal = seal
    directory.change = change
    db:close()
    db = fixture.open(fixture.config(nil, ABC))
    assert.is_true(require("collegedb.core").state(db).epoch.sealed[2])
    assert_all(db, 1, 30)
    db:add_shard { name = "b", fixture.path "b.db" }
    fill(db, 31, 60)
    assert.is_true(counts({ "b" }).b > 0)
  end)

  it("empties a shard, and closes it", function()
    local one = fixture.database(USERS, nil, ABC)
    local two = fixture.open(fixture.config(nil, ABC))
    fill(one, 1, 90)
    local before = counts(ABC)
    local plan = one:drain("b", { dry_run = true })
    assert.equal(before.b, plan.planned)
    assert.equal(before.b, counts(ABC).b)
    local report = one:drain "b"
    assert.is_true(report.success and report.sealed, require("collegedb.json").encode(report))
    assert.equal(before.b, report.moved)
    assert.equal(0, counts(ABC).b)
    assert_all(two, 1, 90)
    fill(two, 91, 120)
    assert.equal(0, counts(ABC).b)
    fixture.raises("MOVED", nil, function() two:shard("b"):run("INSERT INTO users VALUES ('x', 1)") end)
    one:close()
    two:close()
    one = fixture.open(fixture.config(nil, { "a", "c" }))
    assert_all(one, 1, 120)
    assert.is_true(one:verify().success)
  end)

  it("takes an emptied shard in again", function()
    local db = fixture.database(USERS, nil, ABC)
    fill(db, 1, 90)
    local before = counts(ABC)
    db:drain "b"
    assert.equal("b", db:add_shard({ name = "b", fixture.path "b.db" }).shard)
    db:rebalance()
    assert.same(before, (counts(ABC)))
    assert_all(db, 1, 90)
  end)

  for _, strategy in ipairs { "round_robin", "random" } do
    it("moves keys that a strategy has given out, under " .. strategy, function()
      local db = fixture.database(USERS, { strategy = strategy }, ABC)
      fill(db, 1, 90)
      db:drain "c"
      assert.equal(0, counts(ABC).c)
      assert_all(db, 1, 90)
      db:add_shard { name = "d", fixture.path "d.db" }
      local report = db:rebalance { policy = "even" }
      assert.is_true(report.success)
      local by_shard = counts { "a", "b", "d" }
      assert.is_true(by_shard.d >= 20 and by_shard.d <= 40, "on d: " .. by_shard.d)
      assert_all(db, 1, 90)
      fill(db, 91, 120)
      assert.is_true(counts({ "d" }).d > by_shard.d)
      assert.is_true(db:verify().success)
    end)
  end

  it("stops, and goes on", function()
    local db = fixture.database(USERS)
    fill(db, 1, 120)
    db:add_shard { name = "c", fixture.path "c.db" }
    local seen = {}
    local report = db:rebalance { rate = 500, on_progress = function(done, total, label)
      seen[#seen + 1] = { done, total, label }
      return not (label == "moving" and done >= 10)
    end }
    assert.is_false(report.finished or report.success)
    assert.is_true(report.moved >= 10 and report.moved < report.planned)
    assert_all(db, 1, 120)
    report = db:rebalance { resume = true }
    assert.is_true(report.success and report.retired)
    assert_all(db, 1, 120)
  end)

  it("moves what it can, and says what it can not", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER UNIQUE)"
    for i = 1, 60 do db:insert("u" .. i, INSERT, { "u" .. i, i }) end
    db:add_shard { name = "c", fixture.path "c.db" }
    local plan, bad = db:rebalance { dry_run = true }, nil
    db:rebalance { dry_run = true, policy = function(key, _, info)
      if info.home == "c" then bad = key end
    end }
    local stranger = fixture.key_on(db, "c")
    db:shard("c"):run("INSERT INTO users VALUES (?, ?)", { stranger, tonumber(bad:match "%d+") })
    local report = db:rebalance()
    assert.is_false(report.success)
    assert.equal(1, report.failed_count)
    assert.equal(bad, report.failed[1].key)
    assert.equal("CONFLICT", report.failed[1].code)
    assert.equal(plan.planned - 1, report.moved)
    assert.is_false(report.retired)
    assert.is_truthy(db:first(bad, SELECT, { bad }))
    db:shard("c"):run("DELETE FROM users WHERE id = ?", { stranger })
    report = db:rebalance()
    assert.is_true(report.success and report.retired)
  end)

  it("follows weights that a config changes while others run", function()
    local one = fixture.database(USERS)
    fill(one, 1, 90)
    local before = counts { "a", "b" }
    local two = fixture.open(fixture.config { shards = { a = { weight = 5 } } })
    assert_all(one, 1, 90)
    assert_all(two, 1, 90)
    fill(one, 91, 100)
    fill(two, 101, 110)
    assert.is_true(two:rebalance().success)
    assert.is_true(counts({ "a" }).a > before.a + 10)
    assert_all(one, 1, 110)
    assert.is_true(two:rebalance().retired)
    assert_all(one, 1, 110)
  end)

  it("refuses what can not be, and leaves nothing of it", function()
    local db = fixture.database(USERS)
    fill(db, 1, 10)
    local add = function(shard) return db:add_shard(shard) end
    fixture.raises("CONFIG", "name", add, { fixture.path "c.db" })
    fixture.raises("CONFIG", "there already", add, { name = "a", fixture.path "c.db" })
    fixture.raises("CONFIG", "there already", add, { name = "a", fixture.path "a.db" })
    fixture.raises("CONFIG", "one file", add, { name = "c", fixture.path "a.db" })
    fixture.raises("UNAVAILABLE", "does not exist", add, { name = "c", fixture.path "nowhere/c.db" })
    fixture.raises("CONFIG", nil, add, "c.db")
    fixture.sqlite("full.db", "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER); INSERT INTO users VALUES ('x', 1)")
    fixture.raises("UNSUPPORTED", "rows already", add, { name = "c", fixture.path "full.db" })
    fixture.raises("SHARD_NOT_FOUND", nil, db.drain, db, "z")
    fixture.raises("USAGE", "option rates", db.rebalance, db, { rates = 1 })
    fixture.raises("USAGE", "above 0", db.rebalance, db, { rate = 0 })
    fixture.raises("USAGE", "not known", db.rebalance, db, { policy = "nonsense" })
    fixture.raises("SCRIPT", "nowhere", db.rebalance, db, { policy = function() return "nowhere" end })
    local e = fixture.raises("BUSY", nil, collegedb.open, fixture.config(nil, { "b" }))
    assert.matches("db:add_shard", e.message)
    db:drain "a"
    fixture.raises("NO_SHARDS", "only shard", db.drain, db, "b")
    assert_all(db, 1, 10)
    assert.same({ "a", "b" }, db:list_known_shards())
  end)
end)
