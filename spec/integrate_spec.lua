-- Existing databases: every row is found from the first call, and taking them over writes nothing into them.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

-- Two files of one schema with keys of their own: cities by name, orders by number.
local SCHEMA <const> = [[
  CREATE TABLE cities (name TEXT PRIMARY KEY, shop TEXT);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, shop TEXT);
]]

local function rows(shop, from, count)
  return ([[
    WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
      INSERT INTO orders SELECT i, '%s' FROM n;
    WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
      INSERT INTO cities SELECT 'city' || i, '%s' FROM n;]])
    :format(from, from + count - 1, shop, from, from + count - 1, shop)
end

local COUNT <const> = 60

local function make_two()
  fixture.sqlite("a.db", SCHEMA .. rows("a", 1, COUNT))
  fixture.sqlite("b.db", SCHEMA .. rows("b", 1001, COUNT))
end

local function entries() return fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n end

-- Every row is found where it is, by each kind of call.
local function assert_all_found(db)
  for shop, from in pairs { a = 1, b = 1001 } do
    for i = from, from + COUNT - 1 do
      local order = db:first(i, "SELECT shop FROM orders WHERE id = ?", { i })
      assert(order and order.shop == shop, ("order %d is not found on %s"):format(i, shop))
      local city = db:all("city" .. i, "SELECT shop FROM cities WHERE name = ?", { "city" .. i })
      assert(#city == 1 and city[1].shop == shop, ("city %d is not found on %s"):format(i, shop))
      assert.equal(shop, (db:locate(i, "orders")))
      assert.equal(shop, (db:locate("city" .. i)))
    end
  end
end

describe("an existing database", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  describe("that is only probed", function()
    it("is found whole from the first call", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false })
      assert_all_found(db)
      assert_all_found(db)
      assert.equal(0, entries())
    end)

    it("is found by a new instance for each call", function()
      make_two()
      for i = 1, 5 do
        local db = fixture.open(fixture.config { auto_migrate = false })
        assert.equal("a", db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop)
        db:close()
      end
    end)

    it("is written where its rows are", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false })
      for i = 1, 10 do
        local updated = db:update_by_primary_key(i, "UPDATE orders SET shop = 'x' WHERE id = ?", { i })
        assert.equal("a", updated.meta.served_by)
        local far, city = 1000 + i, "city" .. i
        assert.equal(1, db:delete_by_primary_key(far, "DELETE FROM orders WHERE id = ?", { far }).meta.changes)
        fixture.raises("CONSTRAINT", nil, db.insert, db, city, "INSERT INTO cities VALUES (?, 'y')", { city })
      end
      assert.equal(COUNT * 2 - 10, db:count "orders")
    end)

    it("stays untouched, byte for byte, while it is read", function()
      make_two()
      local a, b = fixture.bytes "a.db", fixture.bytes "b.db"
      local db = fixture.open(fixture.config { auto_migrate = false })
      assert_all_found(db)
      db:get_shard_stats()
      db:count "orders"
      db:close()
      assert.equal(a, fixture.bytes "a.db")
      assert.equal(b, fixture.bytes "b.db")
    end)

    it("takes new rows, each on one shard, beside the strategy function's claims", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false,
        strategy = function(_, shards) return shards[2].name end })
      assert_all_found(db)
      for i = 5001, 5010 do db:insert(i, "INSERT INTO orders VALUES (?, 'new')", { i }) end
      for i = 5001, 5010 do assert.same({ "b" }, fixture.holders({ "a", "b" }, "orders", "id", i)) end
      fixture.raises("CONSTRAINT", nil, db.insert, db, 5, "INSERT INTO orders VALUES (5, 'again')")
    end)

    it("is found in tables of every key type", function()
      for i, name in ipairs { "a", "b" } do
        fixture.sqlite(name .. ".db", (([[
          CREATE TABLE untyped (id PRIMARY KEY, shop); CREATE TABLE bytes (id BLOB PRIMARY KEY, shop);
          CREATE TABLE folded (id TEXT PRIMARY KEY COLLATE NOCASE, shop);
          CREATE TABLE bare (id TEXT COLLATE NOCASE, shop);
          CREATE TABLE int (id INT PRIMARY KEY, shop) WITHOUT ROWID; CREATE TABLE num (id DECIMAL PRIMARY KEY, shop);
          CREATE TABLE "select ""x""" ("id y" TEXT PRIMARY KEY, shop);
          INSERT INTO untyped VALUES (N1, 'S'), ('uN2', 'S'), (N3, 'S'), ('uN4', 'S');
          INSERT INTO bytes VALUES (CAST('bN1' AS BLOB), 'S'), (CAST('bN2' AS BLOB), 'S'), ('bN3', 'S'), (N4, 'S');
          INSERT INTO folded VALUES ('FoldN1', 'S'), ('fOLDN2', 'S');
          INSERT INTO bare VALUES ('BareN1', 'S'), ('bareN2', 'S');
          INSERT INTO int VALUES (N1, 'S'), (N2, 'S'), (N3, 'S'), (N4, 'S');
          INSERT INTO num VALUES (N5, 'S'), ('N6', 'S'), ('numN7', 'S');
          INSERT INTO "select ""x""" VALUES ('qN1', 'S'), ('qN2', 'S');
        ]]):gsub("N(%d)", i .. "%1"):gsub("'S'", "'" .. name .. "'")))
      end
      local odd = 'SELECT shop FROM "select ""x""" WHERE "id y" = ?'
      local sql = { odd = odd }
      for _, name in ipairs { "untyped", "bytes", "folded", "bare", "int", "num" } do
        sql[name] = ("SELECT shop FROM %s WHERE id = ?"):format(name)
      end
      for _, auto_migrate in ipairs { false, true } do
        local db = fixture.open(fixture.config { auto_migrate = auto_migrate })
        for i, name in ipairs { "a", "b" } do
          local function found(table_name, key, param)
            local row = db:first(key, sql[table_name], { param or key })
            local what = ("%s %s (auto_migrate = %s)"):format(table_name, key, auto_migrate)
            assert(row and row.shop == name, what .. " is not found")
          end
          local n = i * 10
          found("untyped", n + 1) found("untyped", "u" .. n + 2) found("untyped", n + 3) found("untyped", "u" .. n + 4)
          found("bytes", "b" .. n + 1, collegedb.blob("b" .. n + 1)) found("bytes", "b" .. n + 3) found("bytes", n + 4)
          found("bytes", "b" .. n + 2, collegedb.blob("b" .. n + 2))
          found("folded", "Fold" .. n + 1) found("folded", "FOLD" .. n + 2) found("folded", "fold" .. n + 2)
          found("bare", "Bare" .. n + 1) found("bare", "BARE" .. n + 2) found("bare", "bare" .. n + 1)
          for k = 1, 4 do found("int", n + k) found("int", tostring(n + k)) end
          found("num", n + 5) found("num", tostring(n + 6)) found("num", "num" .. n + 7)
          found("odd", "q" .. n + 1) found("odd", "q" .. n + 2)
        end
        db:close()
      end
    end)

    it("is found when another program adds a table and rows to it", function()
      fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 5))
      fixture.sqlite("b.db", "CREATE TABLE other (id TEXT PRIMARY KEY); INSERT INTO other VALUES ('x')")
      local db = fixture.open(fixture.config { shards = { b = { external_writers = true } } })
      for i = 1, 20 do pcall(db.first, db, "city" .. i, "SELECT shop FROM cities WHERE name = ?", { "city" .. i }) end
      fixture.sqlite("b.db", SCHEMA .. rows("b", 1001, 20))
      for i = 1001, 1020 do
        local key = "city" .. i
        local row = db:first(key, "SELECT shop FROM cities WHERE name = ?", { key })
        assert(row and row.shop == "b", key .. " is not found")
      end
    end)

    it("with external writers is probed for ever", function()
      make_two()
      local db = fixture.open(fixture.config { shards = { b = { external_writers = true } } })
      assert_all_found(db)
      for i = 1, 20 do assert.is_nil(db:first("late" .. i, "SELECT * FROM cities WHERE name = ?", { "late" .. i })) end
      local other = core.sqlite(fixture.path "b.db", {})
      for i = 1, 20 do other:run("INSERT INTO cities VALUES (?, 'late')", { "late" .. i }) end
      core.close(other)
      for i = 1, 20 do
        assert.equal("late", db:first("late" .. i, "SELECT shop FROM cities WHERE name = ?", { "late" .. i }).shop)
      end
    end)

    it("is left alone with integrate = false", function()
      make_two()
      local db = fixture.open(fixture.config { shards = { b = { integrate = false } } })
      for i = 1, COUNT do assert.equal("a", db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop) end
      assert.is_true(entries() > 0)
      local by_hand = db:integrate "b"
      assert.equal(COUNT * 2, by_hand.total_records)
      assert_all_found(db)
    end)
  end)

  describe("that is integrated", function()
    it("at opening is found by its entries", function()
      make_two()
      local events = {}
      local function on_event(e) events[#events + 1] = e.event end
      local db = fixture.open(fixture.config { auto_migrate = true, on_event = on_event })
      assert_all_found(db)
      assert.equal(2, #events)
      for _, stat in ipairs(db:get_shard_stats()) do assert.is_true(stat.integrated) end
      local written = entries()
      assert.is_true(written > 0 and written < 4 * COUNT)
      db:close()
      db = fixture.open(fixture.config { auto_migrate = true, on_event = on_event })
      assert.equal(2, #events)
      assert_all_found(db)
      assert.equal(written, entries())
    end)

    it("by hand is reported and found", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false })
      for _, name in ipairs { "a", "b" } do
        local report = db:integrate(name)
        assert.is_true(report.success)
        assert.equal(name, report.shard_name)
        assert.equal(2, report.tables_processed)
        assert.equal(2 * COUNT, report.total_records)
        assert.equal(2 * COUNT, report.mappings_created)
        assert.same({}, report.conflicts)
        assert.equal(0, report.conflict_count)
        assert.same({}, report.issues)
      end
      assert_all_found(db)
      db:close()
      assert_all_found(fixture.open(fixture.config { auto_migrate = false }))
    end)

    it("a second time gives nothing new", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false })
      db:integrate "a"
      db:integrate "b"
      local written = fixture.rows("directory.db", "SELECT * FROM _collegedb_entries")
      for _, name in ipairs { "a", "b" } do
        local report = db:integrate(name)
        assert.equal(0, report.mappings_created)
        assert.equal(0, report.conflict_count)
        assert.equal(2 * COUNT, report.total_records)
        assert.is_true(report.success)
      end
      assert.same(written, fixture.rows("directory.db", "SELECT * FROM _collegedb_entries"))
    end)

    it("again finds rows that were added past the router", function()
      make_two()
      local db = fixture.open(fixture.config())
      fixture.sqlite("b.db", rows("b", 2001, 10))
      local report = db:integrate "b"
      assert.equal(2 * COUNT + 20, report.total_records)
      assert.is_true(report.mappings_created > 0 and report.mappings_created <= 20)
      for i = 2001, 2010 do
        assert.equal("b", db:first("city" .. i, "SELECT shop FROM cities WHERE name = ?", { "city" .. i }).shop)
      end
    end)

    it("is untouched, byte for byte", function()
      make_two()
      local a, b = fixture.bytes "a.db", fixture.bytes "b.db"
      local db = fixture.open(fixture.config())
      db:integrate "a"
      assert_all_found(db)
      db:rollback "a"
      assert_all_found(db)
      db:close()
      assert.equal(a, fixture.bytes "a.db")
      assert.equal(b, fixture.bytes "b.db")
      assert.same({ "a.db", "b.db", "directory.db", "directory.db-users" }, fixture.files())
    end)

    it("as a dry run changes no file and gives the same numbers", function()
      make_two()
      fixture.sqlite("b.db", "INSERT INTO orders VALUES (1, 'twice'), (2, 'twice')")
      local db = fixture.open(fixture.config { auto_migrate = false })
      db:integrate "a"
      db:close()
      local before = { fixture.bytes "a.db", fixture.bytes "b.db",
        fixture.rows("directory.db", "SELECT * FROM _collegedb_entries"),
        fixture.rows("directory.db", "SELECT * FROM _collegedb_shards") }
      db = fixture.open(fixture.config { auto_migrate = false })
      local dry = db:integrate("b", { dry_run = true })
      db:close()
      assert.same(before, { fixture.bytes "a.db", fixture.bytes "b.db",
        fixture.rows("directory.db", "SELECT * FROM _collegedb_entries"),
        fixture.rows("directory.db", "SELECT * FROM _collegedb_shards") })
      assert.is_true(dry.dry_run)
      db = fixture.open(fixture.config { auto_migrate = false })
      local report = db:integrate "b"
      report.dry_run, dry.dry_run = nil, nil
      assert.same(dry, report)
      assert.equal(2, report.conflict_count)
    end)

    it("tells its progress", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false })
      local done, labels = {}, {}
      db:integrate("a", { on_progress = function(n, total, label)
        done[#done + 1] = n
        assert.is_true(total == nil or total >= n)
        labels[label] = true
      end })
      assert.equal(2 * COUNT, done[#done])
      assert.is_true(labels.cities and labels.orders)
      fixture.raises("USAGE", nil, db.integrate, db, "b", { on_progress = "x" })
      local e = { "mine" }
      local ok, raised = pcall(db.integrate, db, "b", { on_progress = function() error(e) end })
      assert.is_false(ok)
      assert.equal(e, raised)
      assert_all_found(db)
    end)

    it("in part goes on being probed for the rest", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false })
      for _, tables in ipairs { { "orders" }, { "orders", "orders" }, { "ORDERS", "orders" } } do
        local report = db:integrate("b", { tables = tables })
        assert.equal(1, report.tables_processed)
        assert.equal(COUNT, report.total_records)
        db:integrate("a", { tables = tables })
        assert_all_found(db)
      end
      assert.equal(2, db:integrate("a", { tables = { "orders", "Cities" } }).tables_processed)
      assert_all_found(db)
      db:close()
      assert_all_found(fixture.open(fixture.config { auto_migrate = false }))
    end)

    it("streams in pages, with the same outcome for every size", function()
      make_two()
      fixture.sqlite("b.db",
        "CREATE TABLE logs (id TEXT, line); INSERT INTO logs SELECT 'l' || (id % 7), id FROM orders")
      for _, page in ipairs { 1, 7, 59, 60, 61, 1000 } do
        local db = fixture.open(fixture.config { auto_migrate = false })
        local report = db:integrate("b", { page = page })
        assert.equal(2 * COUNT + 7, report.mappings_created, "page " .. page)
        db:integrate("a", { page = page })
        assert_all_found(db)
        assert.equal(9, #db:all("l1", "SELECT * FROM logs WHERE id = 'l1'"))
        db:rollback "a"
        db:rollback "b"
        assert.equal(0, entries())
        db:close()
      end
    end)

    it("works with many rows", function()
      fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 50000))
      local db = fixture.open(fixture.config())
      assert.equal(100000, db:integration_report("a").total_records)
      for i = 1, 50000, 997 do
        assert.equal("a", db:first("city" .. i, "SELECT shop FROM cities WHERE name = ?", { "city" .. i }).shop)
        assert.equal("a", db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop)
      end
    end)

    it("by several processes at once is integrated once, and every row is found", function()
      fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 3000))
      fixture.sqlite("b.db", SCHEMA .. rows("b", 10001, 3000))
      local outputs = fixture.together(4, [[
        wait_for_go()
        local db <close> = collegedb.open { kv = folder .. "/directory.db", auto_migrate = true,
          shards = { a = folder .. "/a.db", b = folder .. "/b.db" } }
        local n = tonumber(arg[1])
        for i = n, 3000, 40 do
          assert(db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop == "a")
          assert(db:first(10000 + i, "SELECT shop FROM orders WHERE id = ?", { 10000 + i }).shop == "b")
          local key = "new" .. i % 50
          local ok, e = pcall(db.insert, db, key, "INSERT INTO cities VALUES (?, ?)", { key, n })
          if not ok and e.code ~= "CONSTRAINT" then error(e) end
          assert(db:first(key, "SELECT shop FROM cities WHERE name = ?", { key }))
        end]])
      for _, output in ipairs(outputs) do assert.equal("", output) end
      local db = fixture.open(fixture.config())
      for i = 0, 49 do
        local key = "new" .. i
        local holders = fixture.holders({ "a", "b" }, "cities", "name", key)
        assert(#holders <= 1, key .. " is on two shards")
      end
      for _, stat in ipairs(db:get_shard_stats()) do
        assert.is_true(stat.integrated)
        assert.equal(0, stat.conflicts)
      end
      for i = 1, 3000, 113 do
        local city = "city" .. 10000 + i
        assert.equal("b", db:first(city, "SELECT shop FROM cities WHERE name = ?", { city }).shop)
      end
    end)

    it("by processes with strategies of their own keeps each key on one shard", function()
      fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 2000))
      fixture.sqlite("b.db", SCHEMA .. rows("b", 10001, 2000))
      local outputs = fixture.together(4, [[
        local n = tonumber(arg[1])
        wait_for_go()
        local db <close> = collegedb.open { kv = folder .. "/directory.db", auto_migrate = n % 2 == 0,
          shards = { a = folder .. "/a.db", b = folder .. "/b.db" },
          strategy = function(_, shards) return shards[n % 2 + 1].name end }
        for i = 1, 2000, 10 do
          local key = "city" .. (n % 2 == 0 and 10000 or 0) + i
          local ok, e = pcall(db.insert, db, key, "INSERT INTO cities VALUES (?, 'again')", { key })
          assert(not ok and e.code == "CONSTRAINT", ok and key .. " was inserted twice" or tostring(e))
          local new = "new" .. i
          ok, e = pcall(db.insert, db, new, "INSERT INTO cities VALUES (?, ?)", { new, n })
          if not ok and e.code ~= "CONSTRAINT" then error(e) end
        end]])
      for _, output in ipairs(outputs) do assert.equal("", output) end
      for i = 1, 2000, 10 do
        assert.equal(1, #fixture.holders({ "a", "b" }, "cities", "name", "new" .. i))
      end
    end)
  end)

  describe("with keys that stand on another shard too", function()
    local function make_conflicts(count)
      fixture.sqlite("a.db", SCHEMA .. rows("a", 1, count))
      fixture.sqlite("b.db", SCHEMA .. rows("b", count - 9, 30)) -- ten of each in common
    end

    it("reports all of them, and the first stands", function()
      make_conflicts(40)
      local db = fixture.open(fixture.config { auto_migrate = false })
      assert.is_true(db:integrate("a").success)
      local report = db:integrate "b"
      assert.is_false(report.success)
      assert.equal(20, report.conflict_count)
      assert.equal(20, #report.conflicts)
      assert.equal(60, report.total_records)
      assert.equal(40, report.mappings_created)
      local orders, cities = {}, {}
      for _, c in ipairs(report.conflicts) do
        assert.equal("b", c.shard)
        assert.equal("a", c.other_shard)
        local list = c.table == "orders" and orders or cities
        list[#list + 1] = c.key
      end
      table.sort(orders)
      assert.same({ 31, 32, 33, 34, 35, 36, 37, 38, 39, 40 }, orders)
      assert.equal("integer", math.type(orders[1]))
      assert.equal(10, #cities)
      assert.is_true(#report.issues >= 2)
      assert.matches("keyspace", table.concat(report.issues, "\n"))
      for i = 31, 40 do
        assert.equal("a", db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop)
        assert.equal("a", db:first("city" .. i, "SELECT shop FROM cities WHERE name = ?", { "city" .. i }).shop)
      end
      for i = 41, 60 do assert.equal("b", db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop) end
      local again = db:integrate "b"
      assert.equal(20, again.conflict_count)
      assert.equal(0, again.mappings_created)
      assert.is_false(again.success)
    end)

    it("reports them whichever shard comes first, and also at opening", function()
      make_conflicts(40)
      local db = fixture.open(fixture.config { auto_migrate = true }, { "b", "a" })
      local total = 0
      for _, name in ipairs { "a", "b" } do total = total + db:integration_report(name).conflict_count end
      assert.equal(20, total)
      local stats = db:get_shard_stats()
      assert.equal(20, stats[1].conflicts + stats[2].conflicts)
      local shops = {}
      for i = 31, 40 do shops[i] = db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop end
      db:close()
      db = fixture.open(fixture.config())
      for i = 31, 40 do assert.equal(shops[i], db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop) end
    end)

    it("counts all and shows a thousand", function()
      fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 1500))
      fixture.sqlite("b.db", SCHEMA .. rows("b", 1, 1500))
      local db = fixture.open(fixture.config { auto_migrate = false })
      db:integrate "a"
      local report = db:integrate "b"
      assert.equal(3000, report.conflict_count)
      assert.equal(1000, #report.conflicts)
      assert.equal(0, report.mappings_created)
      assert.equal(2, #report.issues)
    end)

    it("is resolved by a keyspace for files that both number from 1", function()
      fixture.sqlite("a.db", SCHEMA .. "INSERT INTO orders VALUES (1, 'a'), (2, 'a'), (3, 'a')")
      fixture.sqlite("b.db", SCHEMA .. "INSERT INTO orders VALUES (1, 'b'), (2, 'b'), (3, 'b')")
      local db = fixture.open(fixture.config())
      assert.equal(3, db:integration_report("a").conflict_count + db:integration_report("b").conflict_count)
      db:close()
      db = fixture.open(fixture.config { shards = { b = { keyspace = "b" } } })
      assert.is_true(db:integration_report("b").success)
      for i = 1, 3 do
        assert.equal("a", db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop)
        assert.equal("b", db:first(db:key("orders", i, "b"), "SELECT shop FROM orders WHERE id = ?", { i }).shop)
      end
    end)
  end)

  describe("names what it leaves out:", function()
    it("tables without a key, on each shard that has them", function()
      for _, name in ipairs { "a", "b" } do
        fixture.sqlite(name .. ".db", SCHEMA .. [[CREATE TABLE log (line); INSERT INTO log VALUES ('x');
          CREATE TABLE measures (x REAL PRIMARY KEY); INSERT INTO measures VALUES (1)]])
      end
      local db = fixture.open(fixture.config { auto_migrate = false })
      for _, name in ipairs { "a", "b" } do
        local report = db:integrate(name)
        local text = table.concat(report.issues, "\n")
        assert.matches("log[^\n]*no primary key", text)
        assert.matches("measures[^\n]*floating%-point", text)
        assert.is_false(report.success)
        assert.equal(2, report.tables_processed)
        fixture.raises("USAGE", "log.*no primary key", db.integrate, db, name, { tables = { "log" } })
      end
      assert.equal(2, db:count "log")
    end)

    it("a table whose key is another than on the shard before", function()
      fixture.sqlite("a.db", "CREATE TABLE users (id INTEGER PRIMARY KEY); INSERT INTO users VALUES (1)")
      fixture.sqlite("b.db", "CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('x')")
      local db = fixture.open(fixture.config { auto_migrate = false })
      assert.is_true(db:integrate("a").success)
      local report = db:integrate "b"
      assert.is_false(report.success)
      assert.matches("users", table.concat(report.issues))
      assert.equal(0, report.tables_processed)
    end)

    it("rows without a usable key", function()
      fixture.sqlite("a.db", [[
        CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('x'), (NULL), (NULL), ('');
        INSERT INTO users VALUES (printf('%.*c', 513, 'y')); CREATE TABLE nums (id INT PRIMARY KEY);
        INSERT INTO nums VALUES (1), ('two'), (2.5), (NULL)]])
      local db = fixture.open(fixture.config { auto_migrate = false })
      local report = db:integrate "a"
      local text = table.concat(report.issues, "\n")
      assert.matches("4 rows of table users", text)
      assert.matches("3 rows of table nums", text)
      assert.is_false(report.success)
      assert.equal(2, report.mappings_created)
      assert.equal(9, report.total_records)
    end)

    it("a table that is not there", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false })
      local e = fixture.raises("TABLE_NOT_FOUND", "nope", db.integrate, db, "a", { tables = { "nope" } })
      assert.equal("a", e.shard)
      assert.equal("nope", e.table)
      fixture.raises("SHARD_NOT_FOUND", "zebra", db.integrate, db, "zebra")
    end)

    it("options that it does not have", function()
      make_two()
      local db = fixture.open(fixture.config { auto_migrate = false })
      for _, opts in ipairs { { nope = 1 }, { tables = "orders" }, { tables = { 1 } }, { dry_run = "yes" },
        { on_progress = true }, 5, "orders", true } do
        fixture.raises("USAGE", nil, db.integrate, db, "a", opts)
      end
      assert.equal(0, entries())
    end)
  end)

  it("opens with views, virtual tables and triggers, also broken ones", function()
    fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 5) .. [[
      CREATE VIEW good AS SELECT * FROM orders; CREATE VIEW broken AS SELECT * FROM gone;
      CREATE VIRTUAL TABLE search USING fts5 (line); INSERT INTO search VALUES ('hello');
      CREATE TRIGGER tr AFTER INSERT ON orders BEGIN SELECT 1; END;
      CREATE TABLE generated (id TEXT PRIMARY KEY, twice AS (id || id), stored AS (length(id)) STORED);
      INSERT INTO generated VALUES ('g1');]])
    local made = os.execute(([[sqlite3 %s "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES
      ('table', 'odd', 'odd', 0, 'CREATE VIRTUAL TABLE odd USING no_such_module(x)')"]]):format(fixture.path "a.db"))
    assert.is_true(made)
    for _, auto_migrate in ipairs { false, true } do
      local db = fixture.open(fixture.config { auto_migrate = auto_migrate })
      for i = 1, 5 do assert.equal("a", db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop) end
      assert.equal("g1g1", db:first("g1", "SELECT twice FROM generated WHERE id = 'g1'").twice)
      assert.equal("hello", db:shard("a"):first("SELECT line FROM search WHERE search MATCH 'hello'").line)
      db:get_shard_stats()
      db:close()
    end
  end)
end)

describe("rollback", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("removes the entries, and every row is still found", function()
    make_two()
    local db = fixture.open(fixture.config())
    local all = entries()
    local report = db:rollback "a"
    assert.is_true(report.success)
    assert.equal("a", report.shard_name)
    assert.equal(all - entries(), report.entries_removed)
    assert_all_found(db)
    assert.is_false(db:get_shard_stats()[1].integrated)
    db:rollback "b"
    assert.equal(0, entries())
    assert_all_found(db)
    assert_all_found(db)
  end)

  it("may be followed by another integration, and by another rollback", function()
    make_two()
    local db = fixture.open(fixture.config())
    local all = fixture.rows("directory.db", "SELECT digest, shard FROM _collegedb_entries")
    db:rollback "a"
    db:rollback "a"
    assert_all_found(db)
    assert.equal(2 * COUNT, db:integrate("a").mappings_created)
    assert.same(all, fixture.rows("directory.db", "SELECT digest, shard FROM _collegedb_entries"))
    assert_all_found(db)
  end)

  it("keeps the claims of new keys", function()
    make_two()
    local db = fixture.open(fixture.config { strategy = function(_, shards) return shards[1].name end })
    for i = 5001, 5010 do db:insert(i, "INSERT INTO orders VALUES (?, 'new')", { i }) end
    db:rollback "a"
    for i = 5001, 5010 do
      assert.equal("a", (db:locate(i, "orders")))
      assert.equal("new", db:first(i, "SELECT shop FROM orders WHERE id = ?", { i }).shop)
      fixture.raises("CONSTRAINT", nil, db.insert, db, i, "INSERT INTO orders VALUES (?, 'again')", { i })
    end
    assert_all_found(db)
  end)

  it("wants a shard", function()
    local db = fixture.database()
    fixture.raises("SHARD_NOT_FOUND", "zebra", db.rollback, db, "zebra")
    fixture.raises("USAGE", nil, db.rollback, db)
  end)
end)
