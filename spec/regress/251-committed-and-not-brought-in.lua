-- A move that is committed can not be brought in while its target's tables, or rows that its own refer to, are not as
-- they were when it was looked at. Writes to the key raise until somebody mends that; nothing is lost. The first is of
-- all shards, the second of those whose foreign keys are always enforced.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

describe("a committed move", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open(script)
    local settings = fixture.config()
    for _, shard in ipairs(settings.shards) do
      local handle = core.sqlite(fixture.path(shard.name .. ".db"), { name = shard.name, single = true })
      handle:run "PRAGMA foreign_keys = ON"
      handle:exec(script)
      fixture.track { close = function() core.close(handle) end }
      shard[1] = handle
    end
    return fixture.open(settings)
  end

  local function write(db, key) return db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes end

  -- Between the commit and the end something happens, which is mended later.
  local function check(db, key, happens, mended)
    pcall(move.run, core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(name)
      if name == "commit" then happens() end
    end })
    local done, err = pcall(write, db, key)
    assert(not done and (err.code == "SQL" or err.code == "CONSTRAINT"), tostring(err))
    mended()
    assert.equal(1, write(db, key))
    assert.same({ n = 2 }, db:first(key, "SELECT n FROM users WHERE id = ?", { key }))
    assert.equal("b", (db:locate(key)))
    assert.equal(1, (db:count "users"))
  end

  it("is brought in once a column is there again that was dropped meanwhile", function()
    local db = open "CREATE TABLE users (id TEXT PRIMARY KEY, n, o)"
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1, 1)", { key })
    local function all(sql)
      for _, name in ipairs { "a", "b" } do db:shard(name):exec(sql) end
    end
    check(db, key, function() all "ALTER TABLE users DROP COLUMN o" end,
      function() all "ALTER TABLE users ADD COLUMN o" end)
  end)

  it("is brought in once rows are there again that its own refer to, of tables beside the group", function()
    local db = open [[CREATE TABLE countries (id INTEGER PRIMARY KEY); INSERT INTO countries VALUES (1);
      CREATE TABLE users (id TEXT PRIMARY KEY, n, country INTEGER REFERENCES countries);]]
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1, 1)", { key })
    check(db, key, function() db:shard "b":exec "DELETE FROM countries" end,
      function() db:shard "b":exec "INSERT INTO countries VALUES (1)" end)
  end)
end)
