-- What verify finds, kind by kind, what it repairs, and where it finds nothing because all is well.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

local SHOP = [[
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS nums (id INTEGER PRIMARY KEY, n INTEGER);]]

local function counts(expected)
  local all = { doubled = 0, misplaced = 0, unmapped = 0, orphaned = 0, leftover = 0, lost = 0 }
  for kind, n in pairs(expected) do all[kind] = n end
  return all
end

local function assert_well(report)
  assert.same({}, report.findings)
  assert.same(counts {}, report.counts)
  assert.is_true(report.success)
end

local function fill(db, count)
  for i = 1, count do
    local key = "k" .. i
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    db:insert(key, "INSERT INTO orders VALUES (?, ?)", { i, key })
    db:insert(db:key("nums", i), "INSERT INTO nums VALUES (?, 1)", { i })
  end
end

describe("verify", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  describe("finds", function()
    it("unmapped: rows that no claim gave a place", function()
      local db = fixture.database(SHOP, { strategy = "round_robin" })
      fill(db, 4)
      db:shard("a"):run "INSERT INTO users VALUES ('stranger', 1)"
      db:shard("b"):run "INSERT INTO nums VALUES (77, 1)"
      local report = db:verify()
      assert.same(counts { unmapped = 2 }, report.counts)
      assert.same({ "stranger", "users", "a" }, { report.findings[1].key, report.findings[1].table,
        report.findings[1].shard })
      assert.same({ 77, "nums", "b" }, { report.findings[2].key, report.findings[2].table, report.findings[2].shard })
      assert.equal(2, db:verify({ repair = true, dry_run = true }).counts.unmapped)
      report = db:verify { repair = true }
      assert.equal(2, report.repaired)
      assert.matches("stranger of users has an entry now", report.repairs[1])
      assert_well(db:verify())
      assert(db:first("stranger", "SELECT 1 FROM users WHERE id = ?", { "stranger" }))
      assert(db:first(77, "SELECT 1 FROM nums WHERE id = ?", { 77 }))
    end)

    it("misplaced: an entry that names a shard without rows", function()
      local db = fixture.database(SHOP, { strategy = "round_robin" })
      fill(db, 2)
      db:mapper():set_shard_mapping("k1", db:locate "k1" == "a" and "b" or "a")
      local report = db:verify()
      assert.same(counts { misplaced = 1 }, report.counts) -- users and orders: one key
      assert.matches("repair", report.findings[1].advice)
      assert.equal(1, db:verify({ repair = true }).repaired)
      assert_well(db:verify())
    end)

    it("an entry of a shard that the config does not have", function()
      local db = fixture.database(SHOP, { strategy = "round_robin" })
      fill(db, 2)
      fixture.rows("directory.db", "UPDATE _collegedb_entries SET shard = 99")
      local report = db:verify()
      assert.equal(4, report.counts.unmapped)
      assert.equal(4, db:verify({ repair = true }).repaired)
      assert_well(db:verify())
    end)

    it("doubled: a key of NOCASE in two ways of writing, and one row's own key in two groups", function()
      local db = fixture.database [[CREATE TABLE users (name TEXT COLLATE NOCASE PRIMARY KEY);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT REFERENCES users ON DELETE CASCADE)]]
      for i = 1, 10 do db:insert("Key" .. i, "INSERT INTO users VALUES (?)", { "Key" .. i }) end
      db:insert("key3", "INSERT INTO orders VALUES (1, 'kEY3')")
      assert_well(db:verify())
      local at = db:locate("KEY3", "users")
      local other = at == "a" and "b" or "a"
      db:shard(other):run "INSERT INTO users VALUES ('kEy3')"
      db:shard(other):run "INSERT INTO orders VALUES (1, 'kEy3')"
      local report = db:verify()
      assert.same(counts { doubled = 2 }, report.counts)
      assert.same({ "key3", other, at }, { report.findings[1].key, report.findings[1].shard,
        report.findings[1].other_shard })
      assert.equal(1, report.findings[2].key)
      assert.equal("orders", report.findings[2].table)
      assert.equal(2, #report.decide)
      assert.same(counts { doubled = 2 }, db:verify({ repair = true }).counts)
    end)

    it("nothing doubled where the rules say that it is as it should be", function()
      local db = fixture.database(SHOP, { rules = { conflict = function(key)
        return key == "k1" and "keep" or "error"
      end } })
      fill(db, 2)
      for _, key in ipairs { "k1", "k2" } do
        db:shard(db:locate(key) == "a" and "b" or "a"):run("INSERT INTO users VALUES (?, 1)", { key })
      end
      local report = db:verify()
      assert.same(counts { doubled = 1 }, report.counts)
      assert.equal("k2", report.findings[1].key)
      assert.equal(1, report.kept)
    end)

    it("orphaned: rows without a parent, and on which shard that is", function()
      local db = fixture.database(SHOP)
      fill(db, 3)
      local at = db:locate "k1"
      local other = at == "a" and "b" or "a"
      db:shard(other):exec "INSERT INTO orders VALUES (10, 'k1'), (11, 'k1'), (12, 'nobody')"
      local report = db:verify()
      assert.equal(3, report.counts.orphaned)
      local by_key = {}
      for _, each in ipairs(report.findings) do
        if each.kind == "orphaned" then by_key[each.key] = each end
      end
      assert.same({ 2, at }, { by_key.k1.rows, by_key.k1.other_shard })
      assert.is_nil(by_key.nobody.other_shard)
      assert.matches("on " .. at, by_key.k1.advice)
    end)

    for _, step in ipairs { "journal", "receive", "send", "copy", "commit", "activate", "publish", "clean" } do
      it("leftover: what a mover left that died after " .. step, function()
        local db = fixture.database(SHOP)
        fill(db, 3)
        local from = db:locate "k1"
        movers.die("k1", step, from, from == "a" and "b" or "a")
        movers.unlock()
        local report = db:verify()
        assert_well(report)
        local held = step ~= "journal" and step ~= "clean"
        assert.equal(held and 1 or 0, report.moving)
        assert.is_true(report.moving_seconds <= 60 and (report.moving_seconds > 50) == held)
        movers.expire()
        report = db:verify()
        assert.same({ 0, 0 }, { report.moving, report.moving_seconds })
        assert.is_true(report.counts.leftover >= 1)
        assert.same(counts { leftover = report.counts.leftover }, report.counts)
        report = db:verify { repair = true }
        assert.same(counts {}, report.counts)
        if step ~= "journal" and step ~= "clean" then assert.matches("^move %d+ from", report.repairs[1]) end
        report = db:verify()
        assert_well(report)
        assert.equal(0, report.bare_fences)
        assert.equal(1, db:run("k1", "UPDATE users SET n = 2 WHERE id = ?", { "k1" }).meta.changes)
      end)
    end

    it("leftover: staged rows of no move, and a fence around nothing", function()
      local db = fixture.database(SHOP)
      fill(db, 3)
      local at = db:locate "k1"
      local other = at == "a" and "b" or "a"
      db:reassign_shard("k1", other)
      db:shard(other):exec "INSERT INTO _collegedb_stage_users (_collegedb_row, id) VALUES (9 << 31, 'k9')"
      local report = db:verify()
      assert.same(counts { leftover = 1 }, report.counts)
      assert.same({ "_collegedb_stage_users", 1, other }, { report.findings[1].table, report.findings[1].rows,
        report.findings[1].shard })
      assert.matches("1 rows", db:verify({ repair = true }).repairs[1])
      assert_well(db:verify())
      db:shard(other):exec "DELETE FROM _collegedb_own"
      report = db:verify()
      assert_well(report)
      assert.equal(1, report.bare_fences)
      assert.matches("fence", db:verify({ repair = true }).repairs[1])
      assert.same({}, fixture.rows(other .. ".db",
        "SELECT name FROM sqlite_schema WHERE substr(name, 1, 10) = '_collegedb'"))
      assert_well(db:verify())
      assert.is_true(db:reassign_shard("k1", at).moved)
    end)

    it("triggers of a fence whose table is gone, which would refuse every write", function()
      local db = fixture.database(SHOP)
      fill(db, 3)
      local at = db:locate "k1"
      db:reassign_shard("k1", at == "a" and "b" or "a")
      db:shard(at):exec "DROP TABLE _collegedb_own"
      assert.same(counts { leftover = 1 }, db:verify().counts)
      assert.equal(1, db:verify({ repair = true }).repaired)
      assert_well(db:verify())
    end)

    it("lost: rows that went to a shard of an older backup", function()
      local db = fixture.database(SHOP)
      fill(db, 3)
      local at = db:locate "k1"
      local other = at == "a" and "b" or "a"
      db:close()
      local bytes = fixture.bytes(other .. ".db")
      db = fixture.open(fixture.config())
      db:reassign_shard("k1", other)
      db:close()
      fixture.write(other .. ".db", bytes)
      db = fixture.open(fixture.config())
      local report = db:verify()
      assert.same(counts { lost = 1 }, report.counts)
      assert.same({ "k1", at, other }, { report.decide[1].key, report.decide[1].shard, report.decide[1].other_shard })
      assert.matches("backup", report.decide[1].advice)
    end)
  end)

  it("tells which copy is right by the last move, and deletes nothing", function()
    local db = fixture.database(SHOP)
    fill(db, 3)
    local at = db:locate "k1"
    local other = at == "a" and "b" or "a"
    db:close()
    local directory, shard = fixture.bytes "directory.db", fixture.bytes(at .. ".db")
    db = fixture.open(fixture.config())
    db:reassign_shard("k1", other)
    db:run("k1", "UPDATE users SET n = 5 WHERE id = ?", { "k1" })
    fixture.rows(other .. ".db", "SELECT 1")
    db:close()
    fixture.write(at .. ".db", shard)
    fixture.write("directory.db", directory)
    db = fixture.open(fixture.config()) -- sees by the floor that it is older
    assert.equal(5, db:first("k1", "SELECT n FROM users WHERE id = ?", { "k1" }).n)
    fixture.rows("directory.db", "DELETE FROM _collegedb_entries")
    local report = db:verify()
    assert.same(counts { doubled = 2 }, report.counts) -- the user, and the order's own key
    assert.matches("brought it to " .. other, report.findings[1].advice)
    report = db:verify { repair = true }
    assert.matches("k1 is looked for on " .. other, report.repairs[1])
    assert.equal(5, db:first("k1", "SELECT n FROM users WHERE id = ?", { "k1" }).n)
    assert.same({ "a", "b" }, fixture.holders({ "a", "b" }, "users", "id", "k1"))
    assert.equal(2, db:verify().counts.doubled)
  end)

  describe("finds nothing", function()
    it("in shards that are not integrated yet, and takes them over when it repairs", function()
      fixture.sqlite("a.db", SHOP .. "INSERT INTO users VALUES ('x', 1), ('y', 1); INSERT INTO orders VALUES (1, 'x')")
      fixture.sqlite("b.db", SHOP .. "INSERT INTO users VALUES ('z', 1); INSERT INTO nums VALUES (1, 1)")
      for _, strategy in ipairs { "hash", "round_robin" } do
        local db = fixture.open(fixture.config { auto_migrate = false, strategy = strategy })
        local report = db:verify()
        assert_well(report)
        assert.equal(4, report.keys)
        if strategy == "round_robin" then assert.equal(4, report.probed) end
        report = db:verify { repair = true }
        assert.same(counts {}, report.counts)
        assert.matches("^a was taken over: 3 keys", report.repairs[1])
        report = db:verify()
        assert_well(report)
        assert.equal(0, report.probed)
        db:close()
        os.remove(fixture.path "directory.db")
      end
    end)

    it("in a shard that others write", function()
      local db = fixture.database(SHOP, { shards = { b = { external_writers = true } } })
      fill(db, 3)
      for i = 1, 10 do db:shard("b"):run("INSERT INTO users VALUES (?, 1)", { "x" .. i }) end
      assert_well(db:verify())
      assert_well(db:verify { repair = true })
    end)

    it("where shards number their rows on their own", function()
      local db = fixture.database(SHOP, { shards = { a = { keyspace = "east" }, b = { keyspace = "west" } } })
      for i = 1, 5 do
        for _, tag in ipairs { "east", "west" } do
          db:insert(db:key("nums", i, tag), "INSERT INTO nums VALUES (?, 1)", { i })
        end
      end
      assert_well(db:verify())
      db:shard("a"):run "INSERT INTO nums VALUES (100, 1)"
      assert_well(db:verify())
    end)

    it("in tables of composite keys, without a type, and without a key", function()
      local db = fixture.database [[
        CREATE TABLE logs (tenant TEXT, line INTEGER, PRIMARY KEY (tenant, line)) WITHOUT ROWID;
        CREATE TABLE loose (id PRIMARY KEY); CREATE TABLE unkeyed (x)]]
      for i = 1, 6 do
        db:insert("t" .. i, "INSERT INTO logs VALUES (?1, 1), (?1, 2)", { "t" .. i })
        db:insert("l" .. i, "INSERT INTO loose VALUES (?)", { "l" .. i })
        db:insert("b" .. i, "INSERT INTO loose VALUES (?)", { collegedb.blob("b" .. i) })
        db:insert(tostring(i), "INSERT INTO loose VALUES (?)", { i })
      end
      db:shard("a"):run "INSERT INTO unkeyed VALUES (1)"
      local report = db:verify()
      assert_well(report)
      assert.equal(24, report.keys)
      assert.matches("^unkeyed: ", report.unchecked[1])
    end)

    it("where other shards have come since, and keys are still where they were", function()
      local db = fixture.database(SHOP)
      fill(db, 12)
      db:close()
      db = fixture.open(fixture.config({}, { "a", "b", "c" }))
      local report = db:verify()
      assert_well(report)
      assert_well(db:verify { repair = true })
    end)

    it("while a shard is added", function()
      local db = fixture.database(SHOP)
      fill(db, 12)
      db:add_shard { name = "c", fixture.path "c.db" }
      for i = 13, 30 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
      assert_well(db:verify())
      local report = db:verify { repair = true }
      assert_well(report)
      assert.same({}, report.repairs)
      db:rebalance()
      assert_well(db:verify())
    end)

    for _, repair in ipairs { false, true } do
      it("while keys move, with repair = " .. tostring(repair), function()
        local db = fixture.database(SHOP)
        fill(db, 6)
        local pipes = {}
        for i = 1, 2 do
          pipes[i] = fixture.spawn([[
            local db = collegedb.open { kv = folder .. "/directory.db", shards = {
              { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
            local until_ = os.time() + 2
            while os.time() < until_ do
              local key, name = "k" .. math.random(6), ({ "a", "b" })[math.random(2)]
              local ok, e = pcall(db.reassign_shard, db, key, name)
              assert(ok or e.code == "CONFLICT" or e.code == "MOVED" or e.code == "BUSY", tostring(e))
            end
            db:close()]], i)
        end
        local until_, runs = os.time() + 2, 0
        while os.time() < until_ do
          local report = db:verify { repair = repair }
          assert_well(report)
          assert.same({}, report.repairs)
          runs = runs + 1
        end
        for i = 1, 2 do
          assert.equal("", pipes[i]:read "a")
          assert(pipes[i]:close())
        end
        assert.is_true(runs > 1)
        assert_well(db:verify())
        for i = 1, 6 do
          local key = "k" .. i
          assert.equal(1, db:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes)
        end
      end)
    end

    it("where the directory is a table KV", function()
      local kv = require("spec.support.table_kv").memory()
      local db = fixture.database(SHOP, { kv = kv, strategy = "round_robin" })
      fill(db, 4)
      local report = db:verify()
      assert_well(report)
      assert.equal(8, report.entries)
      assert.is_nil(report.entries_without_rows)
      db:shard("a"):run "INSERT INTO users VALUES ('stranger', 1)"
      assert.equal(1, db:verify({ repair = true }).repaired)
      assert_well(db:verify())
    end)
  end)

  it("counts entries without rows, which are no finding", function()
    local db = fixture.database(SHOP, { strategy = "round_robin" })
    fill(db, 4)
    db:run("k1", "DELETE FROM orders WHERE user_id = 'k1'")
    db:run("k1", "DELETE FROM users WHERE id = 'k1'")
    local report = db:verify()
    assert_well(report)
    assert.same({ 8, 1, 7 }, { report.entries, report.entries_without_rows, report.keys })
  end)

  it("needs little memory, and lists no more than a thousand findings of a kind", function()
    local many = "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", SHOP .. many:format(i * 100000, i * 100000 + 12000)
        .. "INSERT INTO nums SELECT i, 1 FROM n")
    end
    local db = fixture.open(fixture.config())
    db:shard("a"):exec(many:format(1, 1500) .. "INSERT INTO orders SELECT i, 'none' || i FROM n")
    collectgarbage()
    collectgarbage()
    local before, most, last, calls = collectgarbage "count", 0, 0, 0
    local report = db:verify { on_progress = function(done, total, label)
      collectgarbage()
      most, calls = math.max(most, collectgarbage "count" - before), calls + 1
      assert.is_true(done > last and done <= total and type(label) == "string")
      last = done
    end }
    assert.is_true(calls >= 24)
    assert.is_true(most < 3000, ("%.0f KB"):format(most))
    assert.equal(24002, report.keys - 1500) -- the orders' users are keys too
    assert.equal(1500, report.counts.orphaned)
    local listed = 0
    for _, each in ipairs(report.findings) do listed = listed + (each.kind == "orphaned" and 1 or 0) end
    assert.equal(1000, listed)
  end)

  it("stops when it is told to, keeps a rate, and leaves nothing behind", function()
    local db = fixture.database(SHOP)
    fill(db, 5)
    local before = fixture.files()
    local report = db:verify { on_progress = function() return false end }
    assert.is_true(report.cancelled)
    assert.is_false(report.success)
    local start = core.now()
    db:verify { rate = 100 }
    assert.is_true(core.now() - start > 100)
    assert.is_false(pcall(db.verify, db, { on_progress = function() error "no" end }))
    assert_well(db:verify())
    assert.same(before, fixture.files())
  end)

  it("refuses options that it has not", function()
    local db = fixture.database(SHOP)
    fixture.raises("USAGE", "no option fix", db.verify, db, { fix = true })
    fixture.raises("USAGE", "takes a boolean", db.verify, db, { repair = 1 })
    fixture.raises("USAGE", "more than 0", db.verify, db, { rate = 0 })
    fixture.raises("USAGE", "are a table", db.verify, db, 5)
  end)
end)
