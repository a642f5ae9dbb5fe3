-- A workflow's steps are overridden by a file; its state is plain data that is kept between them.

local fixture = require "spec.support.fixture"
local json = require "collegedb.json"
local json_reader = require "collegedb.json_reader"

local SCHEMA <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, v); INSERT INTO users VALUES ('ada', 1), ('ben', 2);"

-- A config whose workflow integrate is this text.
local function config(text, extra)
  os.execute("mkdir -p " .. fixture.path "scripts/workflows")
  fixture.write("scripts/workflows/integrate.lua", text)
  local fields = { auto_migrate = false, script_dirs = { fixture.path "scripts" } }
  for name, value in pairs(extra or {}) do fields[name] = value end
  return fixture.config(fields, { "a" })
end

local function open(text, extra)
  fixture.sqlite("a.db", SCHEMA)
  return fixture.open(config(text, extra))
end

describe("the workflow integrate", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("runs a step of a file, with base at hand", function()
    local db = open [[
      local base = ...
      return { finish = function(state, ctx)
        assert(ctx.name == "a" and ctx.rules and ctx.options and ctx.cancelled() == false)
        assert(ctx.shard("a"):first("SELECT count(*) AS n FROM users").n == 2)
        base.finish(state, ctx)
        state.report.by = "my finish"
      end }]]
    local report = db:integrate "a"
    assert.equal("my finish", report.by)
    assert.equal(2, report.total_records)
    assert.is_true(db:get_shard_stats()[1].integrated)
    assert.equal("my finish", db:integrate("a", { dry_run = true }).by)
  end)

  it("runs at open too", function()
    local db = open([[
      local base = ...
      return { finish = function(state, ctx) base.finish(state, ctx) state.report.by = "mine" end }]],
      { auto_migrate = true })
    assert.equal("mine", db:integration_report("a").by)
  end)

  it("may have more steps, whose state is kept with integers and bytes as they were", function()
    local db = open [[
      return { steps = { "first", "plan", "take", "look", "finish" },
        first = function(state)
          state.big, state.bytes, state.list = 9007199254740993, "\255\0x", { 1.5, "é", false }
        end,
        look = function(state, ctx)
          assert(state.big == 9007199254740993 and math.type(state.big) == "integer")
          assert(state.bytes == "\255\0x" and state.list[1] == 1.5 and state.list[3] == false)
          assert(state.items[1].table == "users" and state.counts[1].records == 2)
          if not ctx.options.on_progress then error "not yet" end
        end }]]
    fixture.raises("SCRIPT", "integrate.lua:%d+: not yet", db.integrate, db, "a")
    assert.equal(1, #fixture.rows("directory.db", "SELECT 1 AS yes FROM _collegedb_jobs WHERE step = 'look'"))
    -- From there it goes on, with what was noted.
    local told = 0
    local report = db:integrate("a", { resume = true, on_progress = function() told = told + 1 end })
    assert.is_true(report.success)
    assert.equal(0, told)
  end)

  it("may be left out in parts", function()
    local db = open [[return { steps = { "plan" } }]]
    local report = db:integrate "a"
    assert.equal(0, report.total_records)
    assert.is_false(db:get_shard_stats()[1].integrated)
    assert.equal("a", (db:locate "ada"))
  end)

  it("stops where a step says so, and begins anew where one says that", function()
    local db = open [[
      -- The file is loaded for each run.
      return { steps = { "plan", "wait", "take", "finish" }, wait = function(_, ctx)
        local times = (package.loaded.times_of_workflow_spec or 0) + 1
        package.loaded.times_of_workflow_spec = times
        if times == 1 then ctx.again() end
        if times == 2 then ctx.stop() end
        ctx.progress(1, 2, "waiting")
      end }]]
    assert.is_true(db:integrate("a").cancelled)
    local labels = {}
    local function on_progress(_, _, label) labels[#labels + 1] = label end
    local report = db:integrate("a", { resume = true, on_progress = on_progress })
    assert.is_true(report.success)
    assert.same({ "waiting", "users" }, labels)
  end)

  it("names file and line of a step that fails", function()
    local db = open "return {\n  take = function()\n    local x = nil\n    return x.y\n  end\n}"
    local e = fixture.raises("SCRIPT", "integrate.lua:4:", db.integrate, db, "a")
    assert.matches("step take", e.message)
    assert.equal("a", (db:locate "ada"))
  end)

  for _, case in ipairs {
    { "a function", "state.x = print", "state.x is a function" },
    { "a userdata", "state.list = { 1, io.stdout }", "state.list%[2%] is a userdata" },
    { "no finite number", "state.a = { b = 0/0 }", "state.a.b is no finite number" },
    { "a table with holes", "state.x = { 1, a = 2 }", "state.x.a is under a key that does not fit" },
    { "a number as key", "state.x = { [7] = 1 }", "state.x%[7%] is under a key that does not fit" },
    { "a metatable", "state.x = setmetatable({}, {})", "state.x has a metatable" },
    { "a cycle", "state.x = state", "nested too deep" },
  } do
    it("refuses a state with " .. case[1], function()
      local db = open(("return { steps = { 'odd', 'plan', 'take', 'finish' }, odd = function(state) %s end }")
        :format(case[2]))
      local e = fixture.raises("SCRIPT", case[3], db.integrate, db, "a")
      assert.matches("after the step odd", e.message)
    end)
  end

  for _, case in ipairs {
    { "without such a step", "return { steps = { 'plan', 'nope' } }", "no function for its step nope" },
    { "with a step twice", "return { steps = { 'plan', 'plan' } }", "names the step plan twice" },
    { "with no steps", "return { steps = {} }", "no array of names" },
    { "that is none", "return 5", "must return a table" },
    { "that does not load", "return {", "integrate.lua:1" },
  } do
    it("refuses a script " .. case[1], function()
      local db = open(case[2])
      fixture.raises("SCRIPT", case[3], db.integrate, db, "a")
    end)
  end
end)

describe("JSON", function()
  it("is read as it was written", function()
    for _, value in ipairs {
      9007199254740993, math.mininteger, 1.5, 1e300, -0.1, "", 'a "b" \\ \\u0041 / \n\t\1 é', "\255\0", true, {},
      { 1, { x = {} } },
      { a = { "b" }, ["c d"] = false, ["\\"] = "\\" },
    } do
      local back = json_reader.decode(json.encode(value))
      assert.same(value, back)
      assert.equal(math.type(value), math.type(back))
    end
    assert.same({ 1, "A" }, json_reader.decode ' [ 1 , "\\u0041" ] ')
    for _, text in ipairs { "", "[1", "{1}", "nul", '"x', "1 2", "[1,]x", '{"a" 1}' } do
      assert.is_false((pcall(json_reader.decode, text)), text)
    end
  end)
end)

describe("a policy for conflicts", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function make(count)
    for _, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", ([[CREATE TABLE users (id INTEGER PRIMARY KEY, v);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
          INSERT INTO users SELECT i, '%s' FROM n]]):format(count, name))
    end
  end

  local function integrate(conflict, opts)
    local db = fixture.open(fixture.config { auto_migrate = false, rules = { conflict = conflict } })
    db:integrate "a"
    return db:integrate("b", opts), db
  end

  for _, dry_run in ipairs { false, true } do
    it("is asked for every one" .. (dry_run and ", in a dry run too" or ""), function()
      make(2500)
      local asked = {}
      local report = integrate(function(key, mapped, found)
        asked[#asked + 1] = key
        assert(mapped == "a" and found == "b")
        return "keep"
      end, { dry_run = dry_run, batch = 300 })
      assert.equal(2500, #asked)
      table.sort(asked)
      assert.equal(2500, asked[2500])
      assert.equal("integer", math.type(asked[1]))
      assert.is_true(report.success)
      assert.equal(2500, report.conflict_count)
      assert.equal(1000, #report.conflicts)
      assert.is_true(report.conflicts[1000].resolved)
      assert.same({}, report.issues)
    end)
  end

  it("may leave some as conflicts", function()
    make(20)
    local report, db = integrate(function(key) return key <= 15 and "keep" or "error" end)
    assert.is_false(report.success)
    assert.equal(20, report.conflict_count)
    assert.equal(1, #report.issues)
    assert.matches("5 of 20 keys", report.issues[1])
    local resolved = 0
    for _, each in ipairs(report.conflicts) do resolved = resolved + (each.resolved and 1 or 0) end
    assert.equal(15, resolved)
    assert.equal("a", db:first(3, "SELECT v FROM users WHERE id = 3").v)
  end)

  it("must answer with one of the two words", function()
    make(3)
    for _, answer in ipairs { 5, "keep it", false } do
      local e = fixture.raises("SCRIPT", 'must return "keep" or "error"', integrate, function() return answer end)
      assert.equal("users", e.table)
    end
    fixture.raises("SCRIPT", "workflow_spec.lua:%d+: broken", integrate, function() error "broken" end)
  end)
end)
