-- docs/commands.md is true: every command has a section with its usage, options and examples, and what it prints with
-- --json has the fields and types that stand there, no others.

local process = require "spec.support.process"
local reader = require "collegedb.json_reader"
local shop = require "spec.support.shop"

-- Commands that write what other pages describe, or no JSON.
local ELSEWHERE <const> = { completion = true, metrics = true }
-- Fields that need a D1 database, a program at work, or a fault.
local UNSEEN <const> = { rows_read = true, rows_written = true, cancelled = true, resolved = true, move = true,
  dangling = true, file = true, read = true, write = true, errors = true, error = true, region = true, keys = true,
  external_writers = true, new = true, begun = true, why = true, names = true, measured = true, statistics = true,
  reads = true, writes = true }

-- --- the page ----------------------------------------------------------------------------

local function sections()
  local list, name = {}, nil
  for line in io.lines "docs/commands.md" do
    name = line:match "^###? (.+)$" or name
    if name then list[name:lower()] = (list[name:lower()] or "") .. line .. "\n" end
  end
  return list
end

local page <const> = sections()

-- Paths of a section as a tree: { fields = { name = { node, optional } }, any = node, each = node, type = string }.
local function shape_of(text)
  local root = {}
  for path, kind in text:gmatch "\n| `([^` ]+)` | ([%l ]+) |" do
    local node = root
    for part in (path:gsub("%[%]", ".[]"):gsub("^%.", "")):gmatch "[^.]+" do
      local name, optional = part:match "^([^?]*)(%??)$"
      if name == "[]" then
        node.each = node.each or {}
        node = node.each
      elseif name == "*" then
        node.any = node.any or {}
        node = node.any
      else
        node.fields = node.fields or {}
        node.fields[name] = node.fields[name] or { node = {}, optional = optional == "?" }
        node = node.fields[name].node
      end
    end
    node.type, node.path = kind, path
  end
  return root
end

-- --- comparing -----------------------------------------------------------------------------

local leaves = {
  string = function(v) return type(v) == "string" end, boolean = function(v) return type(v) == "boolean" end,
  integer = function(v) return math.type(v) == "integer" end, number = function(v) return type(v) == "number" end,
  key = function(v) return type(v) == "string" or math.type(v) == "integer" end, any = function() return true end,
}

local compare

local function compare_object(node, value, path, seen)
  for name, each in pairs(value) do
    local field = node.fields and node.fields[name]
    local inner = field and field.node or node.any
    assert(inner, ("%s has a field %s that is not documented"):format(path, name))
    compare(inner, each, path .. "." .. name, seen)
  end
  for name, field in pairs(node.fields or {}) do
    assert(field.optional or value[name] ~= nil, ("%s has no field %s"):format(path, name))
  end
end

function compare(node, value, path, seen)
  seen[node] = true
  if node.type then
    local fits = assert(leaves[node.type], "there is no type " .. node.type)
    assert(fits(value), ("%s is %s, not of type %s"):format(path, tostring(value), node.type))
    return
  end
  assert(type(value) == "table", path .. " is no object or array")
  if node.each then
    for i, each in ipairs(value) do compare(node.each, each, ("%s[%d]"):format(path, i), seen) end
    assert(next(value) == nil or #value > 0, path .. " is no array")
  else
    compare_object(node, value, path, seen)
  end
end

local function check_seen(node, seen)
  for name, field in pairs(node.fields or {}) do
    if not UNSEEN[name] then
      assert(seen[field.node], "no output has " .. (field.node.path or name))
      check_seen(field.node, seen)
    end
  end
  for _, inner in ipairs { node.each or false, node.any or false } do
    if inner then check_seen(inner, seen) end
  end
end

-- --- what the commands print ------------------------------------------------------------------

local function shipped()
  local pipe <close> = assert(io.popen "ls scripts/*.lua")
  local names = {}
  for line in pipe:lines() do names[#names + 1] = line:match "([%w_]+)%.lua$" end
  return names
end

describe("docs/commands.md", function()
  local folder
  before_each(function()
    folder = process.new_folder()
    shop.make(folder, 30, " auto_migrate = false")
  end)
  after_each(function() process.remove(folder) end)

  local function collegedb(...) return process.run({ process.collegedb, ... }, { folder = folder }) end

  local function sqlite(name, sql)
    local result = process.run({ "sqlite3", "-bail", name .. ".db", sql }, { folder = folder })
    assert.equal("", result.stderr)
  end

  -- Compares what lines of words print, one after the other, with a section's shape.
  local function checker(name, shape)
    local seen = {}
    local function check(...)
      local result = collegedb(name, "--json", ...)
      assert(result.status == 0 or result.status == 3 or result.status == 1, result.stderr)
      assert.matches("^[^\n]+\n$", result.stdout)
      compare(shape, reader.decode(result.stdout), name, seen)
    end
    return check, function() check_seen(shape, seen) end
  end

  local function ready(...)
    assert.equal(0, collegedb("integrate").status)
    for _, words in ipairs { ... } do assert.equal(0, collegedb(table.unpack(words)).status) end
  end

  -- Rows that conflict, rows without a key, a column without an index, and a table that can not be routed.
  local function spoil()
    sqlite("west", [[INSERT INTO customers VALUES ('ada@example.com', 'again'); CREATE TABLE odd (a, b);
      CREATE TABLE logs (id TEXT); INSERT INTO logs VALUES (NULL), ('x')]])
  end

  local runs = {
    init = function(check)
      os.remove(folder .. "/collegedb.lua")
      check "x"
      check("y", "--dry-run")
    end,
    integrate = function(check)
      spoil()
      check "--dry-run"
      check()
    end,
    rollback = function(check)
      ready()
      check("east", "west", "--dry-run")
      check("east", "west")
    end,
    validate = function(check)
      spoil()
      check()
    end,
    locate = function(check)
      ready()
      check "ada@example.com"
      check("17", "--table", "orders")
      process.write(folder .. "/collegedb.lua", 'return { kv = "d.db", strategy = "random", shards = { a = "a.db" } }')
      check "nobody"
    end,
    query = function(check)
      ready()
      check("ada@example.com", "SELECT * FROM customers WHERE email = ?", "ada@example.com")
      check("ada@example.com", "UPDATE customers SET name = 'x' WHERE email = ?", "ada@example.com")
      check("--shard", "east", "SELECT 1 AS x, NULL AS y, 1.5 AS z, x'ff' AS b")
    end,
    move = function(check)
      ready()
      check("ada@example.com", "west", "--dry-run")
      check("ada@example.com", "west")
      check("ada@example.com", "west")
    end,
    add = function(check)
      ready()
      check("north", "north.db", "--dry-run")
      check("north", "north.db")
    end,
    rebalance = function(check)
      ready { "add", "north", "north.db" }
      -- A key that can not go: the target has a table that differs.
      sqlite("north", "CREATE UNIQUE INDEX one ON customers (name); UPDATE customers SET name = 'x'; "
        .. "INSERT INTO customers SELECT 'n' || value, 'Customer ' || value FROM generate_series(1, 60)")
      check "--dry-run"
      check()
    end,
    drain = function(check)
      ready()
      sqlite("east", "CREATE UNIQUE INDEX one ON customers (name)")
      sqlite("west", "UPDATE customers SET name = 'Customer 1' WHERE email = 'c31@example.com'")
      check("west", "--dry-run")
      check "west"
      sqlite("west", "UPDATE customers SET name = 'fits' WHERE email = 'c31@example.com'")
      check "west"
    end,
    verify = function(check)
      ready()
      sqlite("west", "INSERT INTO orders VALUES (999, 'nobody', 'x'); CREATE TABLE odd (a, b); "
        .. "INSERT INTO customers VALUES ('ada@example.com', 'again')")
      sqlite("directory", "DELETE FROM _collegedb_entries")
      check()
      check "--repair"
    end,
    status = function(check)
      check()
      ready()
      shop.move_half_way(folder)
      check()
      local config = process.read(folder .. "/collegedb.lua")
      process.write(folder .. "/collegedb.lua", (config:gsub("return {", "return { strategy = 'nonesuch',", 1)))
      check()
    end,
    doctor = function(check)
      check()
      check "--repair"
    end,
    report = function(check)
      ready()
      check()
      check "--no-verify"
      sqlite("west", "INSERT INTO customers VALUES ('ada@example.com', 'again')")
      check()
      local config = process.read(folder .. "/collegedb.lua")
      process.write(folder .. "/collegedb.lua", (config:gsub("return {", "return { strategy = 'nonesuch',", 1)))
      check()
      process.write(folder .. "/collegedb.lua", config)
      process.write(folder .. "/west.db", "no database")
      check()
    end,
    bench = function(check) check("--rows", "200", "--seconds", "0.1") end,
    help = function(check) check() end,
  }

  for _, name in ipairs(shipped()) do
    it("is true of " .. name, function()
      local text = page[name]
      if not text and not runs[name] and not ELSEWHERE[name] then return pending "it has no section yet" end
      assert(text, "there is no section of it")
      local help = collegedb("help", name).stdout
      assert(text:find("`" .. help:match "^Usage: ([^\n]*)" .. "`", 1, true), "the usage is another one")
      local examples, options = help:match "Examples:\n(.-)\n\n" or "", help:match "\nOptions:\n(.-)\n\n"
      for line in ("\n" .. examples):gmatch "\n   (%l[^\n]*)" do
        assert(text:find("| `" .. line .. "` |", 1, true), "it does not have the example " .. line)
      end
      for option in options:gmatch "\n   (%-%-[%l-]+)" do
        local common = option == "--config" or option == "--json"
        local found = text:find("| `" .. option:gsub("%-", "%%-") .. "[` ]")
        assert(common or found, "it does not have the option " .. option)
      end
      for option in text:gmatch "\n| `(%-%-[%l-]+)" do
        assert(options:find(option, 1, true), "there is no option " .. option)
      end
      for status, means in help:match "\nExit status: ([^\n]*)%.\n$":gmatch "(%d+) ([^;]+)" do
        local common = means == "done" or means == "failed" or means == "wrong usage" or means == "interrupted"
        local found = text:find(("\nExit status %s: %s"):format(status, means), 1, true)
        assert(common or found, "it does not have the exit status " .. status)
      end
      if ELSEWHERE[name] then return end
      assert(runs[name], "this spec does not run it")
      local check, finish = checker(name, shape_of(text))
      runs[name](check)
      finish()
    end)
  end

  it("is true of query --all", function()
    ready()
    local result = collegedb("query", "--json", "--all", "SELECT * FROM customers")
    local one = shape_of(page.query)
    compare({ any = one }, reader.decode(result.stdout), "query --all", {})
  end)

  it("is true of help NAME", function()
    process.write(folder .. "/plain.lua", "-- Does its work.\nprint 'done'")
    local seen, shape = {}, shape_of(page["help name"])
    process.write(folder .. "/picky.lua", [[return { run = print, options = function(parser)
      parser:argument("what"):choices { "a", "b" }
      parser:option("--how"):choices { "c", "d" }
    end }]])
    for _, name in ipairs { "report", "query", "validate", "plain", "picky" } do
      local result = process.run({ process.collegedb, "help", name, "--json" }, { folder = folder,
        env = { COLLEGEDB_PATH = "." } })
      assert.same({ 0, "" }, { result.status, result.stderr })
      compare(shape, reader.decode(result.stdout), "help " .. name, seen)
    end
    assert(seen[shape.fields.file.node])
    check_seen(shape, seen)
  end)

  it("is true of errors", function()
    local shape, seen = shape_of(page.errors), {}
    local function fails(status, ...)
      local result = collegedb(...)
      assert.equal(status, result.status)
      assert.matches("^collegedb %l+: [^\n]+\n", result.stderr)
      compare(shape, reader.decode(result.stdout), "error", seen)
    end
    ready()
    fails(2, "nosuch", "--json")
    fails(2, "verify", "--json", "--nosuch")
    fails(2, "query", "--json", "x")
    fails(1, "drain", "--json", "nowhere")
    fails(1, "move", "--json", "nobody@example.com", "west")
    fails(1, "query", "--json", "c1@example.com", "INSERT INTO customers (email) VALUES ('c1@example.com')")
    fails(1, "init", "--json")
    sqlite("west", "CREATE TABLE odd (a)")
    fails(1, "query", "--json", "--all", "SELECT * FROM odd")
    fails(2, "integrate", "--json", "--tables", "odd")
    process.write(folder .. "/bad.lua", "return { kv = 'x.db', nonsense = 1, shards = { a = 'a.db' } }")
    fails(1, "status", "--json", "--config", "bad.lua")
    process.write(folder .. "/mine.lua", "return { run = function(ctx) ctx.progress {} end }")
    process.write(folder .. "/stop.lua", [[return { resume = true, run = function()
      io.popen("kill -INT " .. io.open("/proc/self/stat"):read "n"):close()
      for _ = 1, 1e6 do end
    end }]])
    process.write(folder .. "/collegedb.lua", (process.read(folder .. "/collegedb.lua"):gsub("auto_migrate = false",
      "%0, script_dirs = { '.' }")))
    fails(1, "mine", "--json")
    local result = collegedb("stop", "--json")
    assert.equal(130, result.status)
    compare(shape, reader.decode(result.stdout), "error", seen)
    check_seen(shape, seen)
  end)

  it("is alone on standard output where a command fails with results", function()
    ready()
    sqlite("west", "CREATE TABLE odd (a)")
    local result = collegedb("query", "--json", "--all", "SELECT * FROM odd")
    assert.matches("^[^\n]+\n$", result.stdout)
    assert.equal("west", (next(reader.decode(result.stdout).error.results)))
  end)
end)
