-- The examples of rules and workflows do what they say.

local fixture = require "spec.support.fixture"

local function make()
  for _, name in ipairs { "a", "b" } do
    fixture.sqlite(name .. ".db", ([[
      CREATE TABLE customers (email TEXT PRIMARY KEY, shop); CREATE TABLE orders (id INTEGER PRIMARY KEY, shop);
      INSERT INTO customers VALUES ('both@x', '%s'), ('%s@x', '%s');]]):format(name, name, name))
  end
end

describe("the examples", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("rules/keep_first.lua lets a customer of two files stand on the first", function()
    make()
    -- The other example in that folder is not wanted here.
    os.execute(("mkdir -p %s && cp -r examples/rules %s"):format(fixture.path "scripts", fixture.path "scripts"))
    local db = fixture.open(fixture.config { rules = "keep_first", script_dirs = { fixture.path "scripts" } })
    local report = db:integration_report "b"
    assert.is_true(report.success)
    assert.equal(1, report.conflict_count)
    assert.is_true(report.conflicts[1].resolved)
    assert.equal("a", db:first("both@x", "SELECT shop FROM customers WHERE email = 'both@x'").shop)
    db:rollback "a"
    db:rollback "b"
    for _, name in ipairs { "a", "b" } do db:shard(name):exec "INSERT INTO orders VALUES (7, 'x')" end
    db:integrate "a"
    report = db:integrate "b"
    assert.is_false(report.success)
    assert.equal(2, report.conflict_count)
    assert.matches("orders", report.issues[1])
  end)

  it("logged/workflows/integrate.lua writes a line about each shard", function()
    make()
    local pipe = fixture.spawn [[
      local db <close> = collegedb.open { kv = folder .. "/directory.db", script_dirs = { "examples/logged" },
        shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      print(db:integration_report("a").logged)
      print(db:integration_report("b").total_records)]]
    local first, second = pipe:read("l", "l")
    pipe:close()
    local text = fixture.bytes "integration.log"
    assert.equal(2, select(2, text:gsub("\n", "")))
    assert.matches("a: 2 key columns, 2 rows", first)
    assert.equal("2", second)
  end)
end)
