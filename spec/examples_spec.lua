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

  -- What an example prints at its first run, and at its second, on the files of the first.
  local function runs_twice(script, first, second)
    for _, patterns in ipairs { first, second } do
      local result = process.run { process.collegedb, script, fixture.path "" }
      assert.same({ 0, "" }, { result.status, result.stderr })
      for _, pattern in ipairs(patterns) do assert.matches(pattern, result.stdout) end
    end
  end

  it("existing/takeover.lua takes two files over", function()
    local printed = {
      "east%.orders: key id, 10 rows, fine\n", "\nwest: 30 rows, 0 conflicts\n", "\tCleo Cole\twest\n",
      "\nwest/orders:7\tgreta%.gray@west%.example\n", "every row is found where it is looked for\n$",
    }
    runs_twice("examples/existing/takeover.lua", printed, printed)
  end)

  it("tenants/service.lua keeps tenants together, and moves one", function()
    runs_twice("examples/tenants/service.lua",
      { "^acme +2 users, 12%.50 billed, on %l+\n", "acme: 4 rows moved\nacme +2 users, .- on large" },
      { "^acme +2 users, 25%.00 billed, on large\n", "acme: 0 rows moved\n" })
  end)

  it("regions/regions.lua puts customers near to their country", function()
    local printed = { "de:1017 +paris\n", "us:4 +virginia\n", "jp:5 +tokyo\n", "au:6 +tokyo\n",
      "somebody +virginia\n" }
    runs_twice("examples/regions/regions.lua", printed, printed)
  end)

  it("README.md has a line for each", function()
    local text = process.read "examples/README.md"
    for target in text:gmatch "%]%(([^)]+)%)" do assert(process.read("examples/" .. target), target) end
    local pipe <close> = assert(io.popen "cd examples && { git ls-files 2>/dev/null || ls; } | grep -v README.md")
    for path in pipe:lines() do
      assert(text:find("](" .. path:match "^[^/]+", 1, true), path .. " is not in examples/README.md")
    end
  end)
end)

describe("the example nightly/rebalance.sh", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local pipe <const> = assert(io.popen "pwd")
  local root <const> = pipe:read "l"
  pipe:close()
  local build = process.build:sub(1, 1) == "/" and process.build or root .. "/" .. process.build

  -- Two shards with 200 keys, and a third one that is to have its share.
  local function prepare()
    fixture.write("collegedb.lua", [[return { kv = "d.db", shards = {
      { name = "a", "a.db" }, { name = "b", "b.db" }, { name = "c", "c.db" } } }]])
    fixture.write("fill.lua", [[
      local db <close> = require "collegedb".open { kv = "d.db", shards = { a = "a.db", b = "b.db" } }
      db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
      for i = 1, 200 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
      db:add_shard { name = "c", "c.db" }]])
    local result = process.run({ build .. "/collegedb", "./fill.lua" }, { folder = fixture.path "" })
    assert.same({ 0, "" }, { result.status, result.stderr })
  end

  local function run(line)
    line = line:gsub("SCRIPT", root .. "/examples/nightly/rebalance.sh")
    return process.run({ "sh", "-c", line },
      { folder = fixture.path "", env = { PATH = build .. ":" .. os.getenv "PATH" }, timeout = 60 })
  end

  local function log() return fixture.bytes "rebalance.log" end

  it("moves keys, is silent about it, and has nothing to do the second time", function()
    prepare()
    local path = fixture.path "collegedb.lua"
    local result = run("SCRIPT " .. path)
    assert.same({ 0, "", "" }, { result.status, result.stdout, result.stderr })
    local moved = tonumber(log():match "(%d+) keys moved")
    assert(moved > 30 and moved < 110, log())
    assert.matches("^%d+%-%d%d%-%d%d %d%d:%d%d:%d%d begins, at most 500 keys a second\n", log())
    result = run("SCRIPT " .. path .. " 100")
    assert.same({ 0, "", "" }, { result.status, result.stdout, result.stderr })
    assert.matches("begins, at most 100 .-\n0 keys moved.- done\n$", log())
  end)

  it("stops when its time is over, and goes on the next time; there is one at a time", function()
    prepare()
    local result = run [[
      timeout --preserve-status -s INT 2 SCRIPT collegedb.lua 5 & first=$!
      until grep -q begins rebalance.log 2>/dev/null; do sleep 0.05; done
      SCRIPT collegedb.lua; echo "meanwhile $?"
      wait $first; echo "first $?"]]
    assert.equal("rebalance.sh: the one before is still running\n", result.stderr)
    assert.equal("meanwhile 75\nfirst 0\n", result.stdout)
    assert.matches("stopped; the next run goes on\n$", log())
    assert.equal(0, run("SCRIPT collegedb.lua 500").status)
    assert.matches(" done\n$", log())
  end)

  it("says on standard error that it failed", function()
    fixture.write("collegedb.lua", "return { kv = 'd.db', shards = {} }")
    local result = run "SCRIPT collegedb.lua"
    assert.equal(1, result.status)
    assert.matches("failed with status 1; .*CONFIG: shards is empty", result.stderr)
    assert.equal(2, run("SCRIPT").status)
  end)
end)
