-- Slips that somebody made who wrote scripts from the page alone: passed over in silence, or told in words that did not
-- help.

local fixture = require "spec.support.fixture"

local SCHEMA = "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT); INSERT INTO users VALUES ('ada', 'Ada')"

describe("a script's slip", function()
  before_each(function()
    fixture.start()
    for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", SCHEMA) end
    os.execute(("mkdir -p %s %s %s"):format(fixture.path "strategies", fixture.path "rules", fixture.path "workflows"))
  end)
  after_each(fixture.stop)

  local function config(extra)
    extra.script_dirs = { fixture.path "" }
    return fixture.config(extra)
  end

  local function integrate(workflow)
    fixture.write("workflows/integrate.lua", workflow)
    local db = fixture.open(config { auto_migrate = false })
    return db, function() return db:integrate "a" end
  end

  it("in a loop is told with file and line", function()
    fixture.write("strategies/loop.lua", "return { select = function()\n  while true do end\nend }")
    local db = fixture.open(config { strategy = "loop", script_limit = 100000 })
    fixture.raises("SCRIPT", "loop%.lua:2: it ran more than 100000", db.insert, db, "x",
      "INSERT INTO users VALUES ('x', '')")
    db:close()
    fixture.write("rules/loop.lua", "return { table = function()\n  while true do end\nend }")
    fixture.raises("SCRIPT", "rules/loop%.lua:2: it ran", fixture.open,
      config { rules = "loop", strategy = "loop", script_limit = 100000 })
  end)

  it("in a column's name is told with the rules and the columns", function()
    fixture.write("rules/shop.lua", "return { name = 'shop', table = function() return { key_column = 'idd' } end }")
    fixture.raises("SCRIPT", "rules shop say of table users: the key column idd.*columns are id, name", fixture.open,
      config { rules = "shop" })
  end)

  it("in a field of the rules' answer is told", function()
    fixture.write("rules/shop.lua", "return { table = function() return { key_column = 'id', key_colum = 1 } end }")
    fixture.raises("SCRIPT", "key_colum", fixture.open, config { rules = "shop" })
  end)

  it("in the version is told", function()
    fixture.write("rules/shop.lua", "return { api = 2, table = function() end }")
    fixture.raises("SCRIPT", "version 2.*this is 1", fixture.open, config { rules = "shop" })
  end)

  it("in a step's name, or its place, is told", function()
    local _, run = integrate "return { finsh = function() end }"
    fixture.raises("SCRIPT", "function finsh, which is none of its steps", run)
    _, run = integrate "return { steps = { 'take', 'finish' } }"
    fixture.raises("SCRIPT", "step take where plan should come first", run)
  end)

  it("is none in rules that only say what a conflict means", function()
    fixture.write("rules/kept.lua", [[return { conflict = function(key, mapped, found, name)
      assert(key == "ada" and mapped == "a" and found == "b" and name == "users")
      return "keep"
    end }]])
    local db = fixture.open(config { rules = "kept" })
    assert.is_true(db:integration_report("b").success)
    assert.equal(0, db:get_shard_stats()[2].conflicts)
  end)

  it("is none in a table that is left out on purpose", function()
    fixture.write("rules/shop.lua", [[return { table = function(info)
      if info.name == "tmp" then return false, "temporary" end
      return { key_column = "id" }
    end }]])
    fixture.sqlite("a.db", "CREATE TABLE tmp (x)")
    local db = fixture.open(config { rules = "shop" })
    local report = db:integration_report "a"
    assert.is_true(report.success)
    assert.matches("tmp was left out: temporary", report.notes[1])
    fixture.raises("TABLE_NOT_FOUND", "temporary", db.key, db, "tmp", 1)
  end)
end)
