-- What is still open: a move that is committed can not be brought in while its target's tables, or rows that its own
-- refer to, are not as they were when it was looked at. Writes to the key raise until somebody mends that; nothing is
-- lost. The first is of all shards, the second of those whose foreign keys are always enforced.

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

  local function move_with(db, key, meanwhile)
    pcall(move.run, core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(name)
      if name == "commit" then meanwhile() end
    end })
    return db:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes
  end

  pending("is brought in when a column was dropped meanwhile: nothing keeps other clients from ALTER TABLE, and a "
    .. "fence is not replaced while keys are on their way", function()
    local db = open "CREATE TABLE users (id TEXT PRIMARY KEY, n, o)"
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1, 1)", { key })
    assert.equal(1, move_with(db, key, function()
      for _, name in ipairs { "a", "b" } do db:shard(name):exec "ALTER TABLE users DROP COLUMN o" end
    end))
  end)

  pending("keeps the rows that its own refer to, of tables beside the group: no trigger refuses to delete "
    .. "them", function()
    local db = open [[CREATE TABLE countries (id INTEGER PRIMARY KEY); INSERT INTO countries VALUES (1);
      CREATE TABLE users (id TEXT PRIMARY KEY, n, country INTEGER REFERENCES countries);]]
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1, 1)", { key })
    assert.equal(1, move_with(db, key, function() pcall(db:shard "b".exec, db:shard "b", "DELETE FROM countries") end))
  end)
end)
