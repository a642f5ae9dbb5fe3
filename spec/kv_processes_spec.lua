-- A table KV that several processes share; here it is a table of a SQLite file.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local table_kv = require "spec.support.table_kv"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (email TEXT PRIMARY KEY, name TEXT);"

local SOURCE <const> = [[
  local table_kv = dofile "spec/support/table_kv.lua"
  local kv, close = table_kv.file(folder .. "/kv.db")
  local db = collegedb.open { kv = kv, strategy = "random", auto_migrate = false,
    shards = { a = folder .. "/a.db", b = folder .. "/b.db" } }
]]

describe("a table KV that processes share", function()
  local kv, close

  local function config(strategy)
    return fixture.config { kv = kv, strategy = strategy, auto_migrate = false }
  end

  before_each(function()
    fixture.start()
    kv, close = table_kv.file(fixture.path "kv.db")
    local db <close> = collegedb.open(config "random")
    db:ensure_schema(SCHEMA)
  end)
  after_each(function()
    close()
    fixture.stop()
  end)

  it("gives each key one shard", function()
    local outputs = fixture.together(3, SOURCE .. [[
      wait_for_go()
      for i = 1, 60 do
        db:run("k" .. i, "INSERT INTO users VALUES (?, 'x') ON CONFLICT DO NOTHING", { "k" .. i })
      end
      db:close()
      close()]])
    assert.same({ "", "", "" }, outputs)
    for i = 1, 60 do assert.equal(1, #fixture.holders({ "a", "b" }, "users", "email", "k" .. i)) end
  end)

  it("loses no row while one process integrates and rolls back, and others insert and update", function()
    fixture.sqlite("a.db", [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
      INSERT INTO users SELECT 'k' || i, 'there' FROM n]])
    local outputs = fixture.together(3, SOURCE .. [[
      local me = ...
      wait_for_go()
      for round = 1, 6 do
        if me == "1" then
          db:integrate "a"
          db:rollback "a"
        else
          for i = 1, 60 do
            local key = "k" .. i
            db:run(key, "INSERT INTO users VALUES (?, 'new') ON CONFLICT DO UPDATE SET name = name || '.'", { key })
            if not db:first(key, "SELECT 1 FROM users WHERE email = ?", { key }) then print("lost", key) end
          end
        end
      end
      db:close()
      close()]])
    assert.same({ "", "", "" }, outputs)
    local db <close> = collegedb.open(config "random")
    for i = 1, 60 do
      local key = "k" .. i
      assert.same({ (db:locate(key)) }, fixture.holders({ "a", "b" }, "users", "email", key))
      local dots = select(2, db:first(key, "SELECT name FROM users WHERE email = ?", { key }).name:gsub("%.", ""))
      assert.equal(i <= 40 and 12 or 11, dots)
    end
  end)

  it("is held up by a process that runs, and not by one that died", function()
    local died = fixture.spawn(SOURCE .. "os.exit(0, false)")
    assert.equal("", died:read "a")
    died:close()
    local end_it = fixture.background(SOURCE)
    fixture.raises("BUSY", nil, collegedb.open, config "hash")
    end_it()
    collegedb.open(config "hash"):close()
  end)
end)
