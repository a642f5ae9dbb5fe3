-- The workflow integrate with a table KV as the directory: nothing is journaled, and all else is as with a file.

local fixture = require "spec.support.fixture"
local table_kv = require "spec.support.table_kv"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY);"

local function rows(name, from, to)
  return ([[WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
    INSERT INTO users SELECT printf('%s%%03d', i) FROM n;]]):format(from, to, name)
end

describe("an integration with a table KV as the directory", function()
  local kv
  before_each(function()
    fixture.start()
    kv = table_kv.memory()
    fixture.sqlite("a.db", SCHEMA .. rows("k", 1, 60))
    fixture.sqlite("b.db", SCHEMA .. rows("k", 41, 100))
  end)
  after_each(fixture.stop)

  local function open(extra)
    extra = extra or {}
    extra.kv, extra.auto_migrate = kv, extra.auto_migrate or false
    return fixture.open(fixture.config(extra))
  end

  -- Runs `f` once, just before the n-th entry is written.
  local function before_entry(n, f)
    local seen = 0
    kv.on = function(name, key)
      if name == "compare_and_set" and key:find "^shard:" then seen = seen + 1 end
      if seen ~= n then return end
      kv.on = nil
      f()
    end
  end

  local function check_first_stands(db)
    for i = 1, 100 do
      local key = ("k%03d"):format(i)
      assert.equal(i <= 60 and "a" or "b", (db:locate(key)))
      assert.is_table(db:first(key, "SELECT 1 FROM users WHERE id = ?", { key }))
    end
  end

  it("is done before open returns, where it would be done in the background, and says so", function()
    local events = {}
    local db = open { auto_migrate = "background", on_event = function(event)
      events[#events + 1] = event.event .. ": " .. event.message
    end }
    assert.matches("^foreground: .*a table KV", events[1])
    assert.matches("^integrated: a: 60 keys", events[2])
    assert.equal(20, db:integration_report("b").conflict_count)
    assert.is_nil(db:integration "b")
    assert.is_nil(next(require("collegedb.core").state(db).epoch.probed))
    check_first_stands(db)
  end)

  it("that was cancelled leaves what it wrote, and begins anew", function()
    local db = open { strategy = "random" }
    local told = {}
    local report = db:integrate("a", { page = 10, on_progress = function(done, total, label)
      told[#told + 1] = { done, total, label }
      return done < 20
    end })
    assert.same({ { 10, 60, "users" }, { 20, 60, "users" } }, told)
    assert.same({ true, false, 20 }, { report.cancelled, report.success, report.entries })
    assert.equal("k060", db:first("k060", "SELECT id FROM users WHERE id = 'k060'").id)
    report = db:integrate("a", { page = 10, resume = true })
    assert.same({ true, 60, 40 }, { report.success, report.total_records, report.entries })
    db:integrate "b"
    check_first_stands(db)
  end)

  it("leaves conflicts to the rules, and reports them all", function()
    local asked = 0
    local db = open { rules = { conflict = function(key, mapped, found)
      asked = asked + 1
      assert(mapped == "a" and found == "b")
      return key < "k051" and "keep" or "error"
    end } }
    assert.is_true(db:integrate("a").success)
    local report = db:integrate("b", { page = 7 })
    assert.same({ 20, 20, false }, { asked, report.conflict_count, report.success })
    local resolved = 0
    for _, each in ipairs(report.conflicts) do resolved = resolved + (each.resolved and 1 or 0) end
    assert.same({ 20, 10 }, { #report.conflicts, resolved })
    assert.matches("^10 of 60 keys", report.issues[1])
    check_first_stands(db)
  end)

  it("runs the steps of a user's script, whose state is journaled nowhere", function()
    os.execute("mkdir " .. fixture.path "workflows")
    fixture.write("workflows/integrate.lua", [[
      local base = ...
      return { steps = { "plan", "note", "take", "finish" }, note = function(state) state.seen = #state.items end,
        finish = function(state, ctx)
          base.finish(state, ctx)
          state.report.notes[1] = "seen " .. state.seen
        end }]])
    local db = open { script_dirs = { fixture.path "" } }
    local report = db:integrate("a", { resume = true })
    assert.same({ true, { "seen 1" } }, { report.success, report.notes })
    for name, value in pairs(kv.data) do assert.is_nil((name .. value):find "job") end
  end)

  it("goes on when another shard is integrated meanwhile, and heeds what that one has", function()
    local db, other = open(), open()
    fixture.sqlite("b.db", rows("z", 1, 40))
    fixture.sqlite("a.db", rows("z", 1, 40))
    before_entry(3, function() assert.equal(100, other:integrate("b").total_records) end)
    local report = db:integrate("a", { page = 1000 })
    assert.equal(100, report.total_records)
    for i = 1, 40 do
      -- Of both, the one that was taken over first has it, if it is at home there or has an entry.
      local key = ("z%03d"):format(i)
      assert.equal("b", (db:locate(key)))
      assert.equal("b", (other:locate(key)))
    end
    assert.is_true(report.conflict_count >= 40, report.conflict_count)
  end)

  it("begins anew when it is rolled back meanwhile", function()
    local db, other = open { strategy = "random" }, open { strategy = "random" }
    before_entry(25, function() other:rollback "a" end)
    local report = db:integrate("a", { page = 10 })
    assert.same({ true, 60 }, { report.success, report.total_records })
    assert.equal(60, other:mapper():get_shard_key_counts().a)
    db:integrate "b"
    check_first_stands(other)
  end)

  it("gives up when others never leave it in peace", function()
    local db, other = open { strategy = "random" }, open { strategy = "random" }
    local patience = require "collegedb.patience"
    local new = patience.new
    patience.new = function() return new(0.05) end
    kv.on = function(name, key)
      if name == "get" and key == "collegedb:record" then
        require("collegedb.core").state(other).directory:change(function() return true end)
      end
    end
    local done, err = pcall(db.integrate, db, "a")
    kv.on, patience.new = nil, new
    assert.is_false(done)
    assert.equal("BUSY", err.code)
  end)

  it("takes rows of one key as one, and counts them all", function()
    fixture.sqlite("a.db", [[CREATE TABLE logs (id TEXT, line);
      INSERT INTO logs SELECT 'log' || (rowid % 7), rowid FROM users;
      INSERT INTO logs VALUES ('', 1), ('', 2), (NULL, 3)]])
    local db = open { strategy = "random", rules = { table = function(info)
      return { key_column = info.name == "logs" and "id" or info.primary_key[1] }
    end } }
    local report = db:integrate("a", { page = 3, tables = { "logs" } })
    assert.same({ 63, 7 }, { report.total_records, report.entries })
    assert.matches("^3 rows of table logs have no usable key", report.issues[1])
  end)
end)
