-- Where foreign keys are always enforced, as on D1, a row outside of a group that came to refer to it while the group
-- was moved kept the old rows from being deleted; from then on every open failed, and a write at the new place raised
-- CONSTRAINT although it had been done. One that refers to it ON DELETE SET NULL was changed.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local moves = require "collegedb.moves"

local function open()
  local settings = fixture.config()
  for _, shard in ipairs(settings.shards) do
    local handle = core.sqlite(fixture.path(shard.name .. ".db"), { name = shard.name, single = true })
    handle:run "PRAGMA foreign_keys = ON"
    fixture.track { close = function() core.close(handle) end }
    shard[1] = handle
  end
  return fixture.open(settings)
end

describe("a row that comes to refer to a group while that is moved", function()
  local lease = moves.lease
  before_each(fixture.start)
  after_each(function()
    moves.lease = lease
    fixture.stop()
  end)

  for _, action in ipairs { "NO ACTION", "RESTRICT", "SET NULL", "SET DEFAULT" } do
    it("stays as it is, and the move is finished when it is gone: " .. action, function()
      moves.lease = -1
      local db = open()
      for _, name in ipairs { "a", "b" } do
        db:shard(name):exec(([[CREATE TABLE users (id TEXT PRIMARY KEY, n, UNIQUE (id, n));
          CREATE TABLE notes (id TEXT PRIMARY KEY, author TEXT, n,
            FOREIGN KEY (author, n) REFERENCES users (id, n) ON DELETE %s);]]):format(action))
      end
      local key, other = fixture.key_on(db, "a"), fixture.key_on(db, "a", 100)
      db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      local stale = open()
      assert.equal(1, stale:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      fixture.raises("CONSTRAINT", "old rows stay on a", move.run, core.state(db), { keyspace = "",
        keys = { key }, source = 1, target = 2, on_step = function(name)
          if name == "commit" then db:insert(other, "INSERT INTO notes VALUES (?, ?, 1)", { other, key }) end
        end })
      assert.same({ { author = key, n = 1 } }, fixture.rows("a.db", "SELECT author, n FROM notes"))
      db:close()
      db = open()
      assert.equal("b", (db:locate(key)))
      assert.equal(1, stale:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes)
      assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      assert.equal("leftover", db:verify().findings[1].kind)
      db:run(other, "DELETE FROM notes WHERE id = ?", { other })
      assert.same({}, db:verify { repair = true }.findings)
      assert.same({}, fixture.rows("a.db", "SELECT * FROM users"))
    end)
  end
end)
