-- The scripts in examples/ do what they say. The demo and the program in C have specs of their own.

local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

describe("the example", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("rules/tenants.lua puts what has a column `tenant` where its tenant is", function()
    local schema = [[CREATE TABLE tenants (name TEXT PRIMARY KEY);
      CREATE TABLE jobs (id INTEGER PRIMARY KEY, tenant TEXT);
      CREATE TABLE logs (line TEXT, tenant TEXT); CREATE TABLE plain (id TEXT PRIMARY KEY);]]
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", schema .. ([[INSERT INTO tenants VALUES ('%s'); INSERT INTO jobs VALUES (%d, '%s');
        INSERT INTO logs VALUES ('x', '%s'); INSERT INTO plain VALUES ('p%d');]]):format(name, i, name, name, i))
    end
    local db = fixture.open(fixture.config { rules = "tenants", script_dirs = { "examples" } })
    for i, name in ipairs { "a", "b" } do
      assert.equal("x", db:first(name, "SELECT line FROM logs WHERE tenant = ?", { name }).line)
      assert.equal(name, db:first(i, "SELECT tenant FROM jobs WHERE id = ?", { i }).tenant)
      assert.is_not_nil(db:first("p" .. i, "SELECT 1 FROM plain WHERE id = ?", { "p" .. i }))
    end
    fixture.raises("USAGE", "tenants", db.insert, db, 9, "INSERT INTO jobs VALUES (9, 'a')")
  end)

  it("table-kv.lua keeps its directory in a KV, from run to run", function()
    local command = { process.collegedb, "examples/table-kv.lua", fixture.path "" }
    local first = process.run(command)
    assert.equal("", first.stderr)
    for _, pattern in ipairs {
      "Ada +2 visits, on %l+th\n", "Dan +2 visits", 'shard:%x+\t{.*"shard":"%l+th"', '%["north","south"%]',
    } do
      assert.matches(pattern, first.stdout)
    end
    local again = process.run(command)
    assert.equal("", again.stderr)
    assert.equal(0, again.status)
    assert.matches("Ada +4 visits", again.stdout)
  end)
end)
