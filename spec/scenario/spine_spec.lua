-- The product's spine in one story: two shops with files of their own become one database, grow, and are opened again.
-- Runs under stock lua5.4 and under our own interpreter.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("two shops that become one", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function build_shop(name, domain, customers)
    fixture.sqlite(name .. ".db", ([[
      CREATE TABLE customers (email TEXT PRIMARY KEY COLLATE NOCASE, name TEXT NOT NULL, credit REAL DEFAULT 1.0);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT, total INTEGER);
      CREATE TABLE log (line TEXT);
      CREATE VIEW rich AS SELECT * FROM customers WHERE credit > 10;
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
        INSERT INTO customers SELECT 'c' || i || '@%s', 'Customer ' || i, i / 2.0 FROM n;
      INSERT INTO orders (email, total) SELECT email, 100 FROM customers ORDER BY rowid;
      INSERT INTO log VALUES ('opened');]]):format(customers, domain))
  end

  local function config(extra)
    local names = extra and extra.names or { "east", "west", "new" }
    return fixture.config({ auto_migrate = false, shards = extra and extra.shards }, names)
  end

  local function name_of(db, email)
    local row = db:first(email, "SELECT name FROM customers WHERE email = ?", { email })
    return row and row.name
  end

  it("are found, integrated, written, conflicted, resolved, grown and read again", function()
    build_shop("east", "east.example", 40)
    build_shop("west", "west.example", 24)
    local east, west = fixture.bytes "east.db", fixture.bytes "west.db"

    -- Opened as one: every row is found from the first call.
    local db = fixture.open(config())
    for i = 1, 40 do assert.equal("Customer " .. i, name_of(db, "C" .. i .. "@EAST.example")) end
    for i = 1, 24 do assert.equal("Customer " .. i, name_of(db, "c" .. i .. "@west.example")) end
    local total, by_shard = db:count "customers"
    assert.same({ 64, 40, 24 }, { total, by_shard.east, by_shard.west })

    -- Integrated: a dry run first, then for good; both shops number their orders from 1, and that is reported.
    assert.equal(80, db:integrate("east", { dry_run = true }).mappings_created)
    local report = db:integrate "east"
    assert.equal(80, report.mappings_created)
    assert.equal(0, report.conflict_count)
    assert.matches("log", table.concat(report.issues, "\n"))
    report = db:integrate "west"
    assert.equal(24, report.conflict_count)
    local conflict = report.conflicts[1]
    assert.same({ "orders", "west", "east" }, { conflict.table, conflict.shard, conflict.other_shard })
    assert.matches("keyspace = \"west\"", table.concat(report.issues, "\n"))
    db:close()
    assert.equal(east, fixture.bytes "east.db")
    assert.equal(west, fixture.bytes "west.db")

    -- Resolved by a keyspace.
    db = fixture.open(config { shards = { west = { keyspace = "west" } } })
    report = db:integrate "west"
    assert.equal(0, report.conflict_count)
    assert.equal("c7@east.example", db:first(7, "SELECT email FROM orders WHERE id = ?", { 7 }).email)
    local key = db:key("orders", 7, "west")
    assert.equal("c7@west.example", db:first(key, "SELECT email FROM orders WHERE id = ?", { 7 }).email)

    -- New rows go to every shard, and only there; the third one gets its tables first.
    db:create_schema "new"
    for i = 1, 60 do
      local email = ("new%d@example.org"):format(i)
      local result = db:insert(email, "INSERT INTO customers (email, name) VALUES (:email, :name)",
        { email = email, name = "New " .. i })
      assert.equal(1, result.meta.changes)
      assert.equal(db:locate(email, "customers"), result.meta.served_by)
    end
    total, by_shard = db:count "customers"
    assert.equal(124, total)
    assert.is_true(by_shard.new > 5 and by_shard.east > 45 and by_shard.west > 29)

    -- Values keep their types; errors are objects; transactions are whole.
    local row = db:first("c1@east.example",
      "SELECT credit, 9007199254740993 AS big, NULL AS none FROM customers LIMIT 1")
    assert.equal("float", math.type(row.credit))
    assert.equal(9007199254740993, row.big)
    assert.is_nil(row.none)
    local e = fixture.raises("CONSTRAINT", nil, db.insert, db, "c1@east.example",
      "INSERT INTO customers (email, name) VALUES ('C1@east.example', 'again')")
    assert.equal("east", e.shard)
    fixture.raises("CONSTRAINT", nil, db.transaction, db, "c1@east.example", function(tx)
      tx:run "UPDATE customers SET credit = 0 WHERE email = 'c1@east.example'"
      tx:transaction(function(inner) inner:run "DELETE FROM orders WHERE id = 1" end)
      tx:run "INSERT INTO customers (email, name) VALUES ('c1@east.example', NULL)"
    end)
    row = db:first("c1@east.example", "SELECT credit FROM customers WHERE email = 'c1@east.example'")
    assert.equal(0.5, row.credit)
    assert.is_not_nil(db:first(1, "SELECT 1 AS yes FROM orders WHERE id = 1"))
    local spent = 0
    for order in db:each("c1@east.example", "SELECT total FROM orders") do spent = spent + order.total end
    assert.equal(4000, spent)
    assert.equal(3, #db:get_shard_stats())
    db:close()

    -- Opened again, with a fourth shard: everything is where it was.
    db = fixture.open(config { names = { "east", "west", "new", "fourth" }, shards = { west = { keyspace = "west" } } })
    for i = 1, 40 do assert.equal("Customer " .. i, name_of(db, "c" .. i .. "@east.example")) end
    for i = 1, 24 do assert.equal("Customer " .. i, name_of(db, "c" .. i .. "@WEST.example")) end
    for i = 1, 60 do assert.equal("New " .. i, name_of(db, ("new%d@example.org"):format(i))) end
    assert.is_nil(name_of(db, "nobody@example.org"))
    assert.same({ "east", "west", "new", "fourth" }, db:list_known_shards())

    -- Taken back: the entries are gone, the rows are where they were, and still found.
    db:rollback "east"
    for i = 1, 40 do assert.equal("Customer " .. i, name_of(db, "c" .. i .. "@east.example")) end
  end)

  it("take a strategy from a file of ten lines", function()
    os.execute("mkdir -p " .. fixture.path "mine/strategies")
    fixture.write("mine/strategies/by_country.lua", [[
      -- Customers of .de live in the east.
      return {
        name = "by_country", api = 1,
        select = function(key, shards, ctx)
          if type(key) == "string" and key:find "%.de$" then return "east" end
          return shards[ctx.hash(tostring(key)) % #shards + 1].name
        end,
      }]])
    build_shop("east", "east.example", 5)
    build_shop("west", "west.example", 5)
    local settings = config()
    settings.strategy, settings.script_dirs = "by-country", { fixture.path "mine" }
    local db = fixture.open(settings)
    db:create_schema "new"
    for i = 1, 20 do
      local email = ("k%d@beispiel.de"):format(i)
      local result = db:insert(email, "INSERT INTO customers (email, name) VALUES (?, 'K')", { email })
      assert.equal("east", result.meta.served_by)
      assert.same({ "east" }, fixture.holders({ "east", "west", "new" }, "customers", "email", email))
    end
    for i = 1, 5 do assert.equal("Customer " .. i, name_of(db, "c" .. i .. "@west.example")) end
  end)

  it("serve a program that loads other modules, in coroutines, with the collector at work", function()
    local cjson = require "cjson"
    build_shop("east", "east.example", 30)
    local db <close> = collegedb.open(config())
    collectgarbage "generational"
    local names = {}
    local routines = {}
    for r = 1, 5 do
      routines[r] = coroutine.wrap(function()
        for row in db:each("c1@east.example", "SELECT name FROM customers ORDER BY rowid") do
          names[#names + 1] = cjson.decode(cjson.encode { row.name })[1]
          coroutine.yield(true)
        end
      end)
    end
    local running = true
    while running do
      running = false
      for _, routine in ipairs(routines) do
        local ok, more = pcall(routine)
        running = running or (ok and more == true)
      end
      collectgarbage "step"
    end
    collectgarbage "incremental"
    assert.equal(150, #names)
  end)
end)
