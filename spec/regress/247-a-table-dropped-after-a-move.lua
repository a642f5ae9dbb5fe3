-- After keys of a table had moved, and the table was dropped, every move from and to that shard failed, of any other
-- table; one that was committed by then could not be brought to its end.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local recovery = require "collegedb.recovery"

for what, single in pairs { ["files"] = false, ["files of single statements"] = true } do
  describe("tables that are dropped after keys have moved, on " .. what, function()
    before_each(fixture.start)
    after_each(fixture.stop)

    local db, key
    before_each(function()
      local settings = fixture.config()
      for _, shard in ipairs(settings.shards) do
        shard[1] = collegedb.sqlite(shard[1])
        shard[1].single = single
      end
      db = fixture.open(settings)
      db:ensure_schema [[CREATE TABLE users (id TEXT PRIMARY KEY, n);
        CREATE TABLE posts (id INTEGER PRIMARY KEY);
        CREATE TABLE notes (id INTEGER PRIMARY KEY, post INTEGER REFERENCES posts ON DELETE CASCADE);]]
      key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      local post = db:key("posts", 17)
      db:insert(post, "INSERT INTO posts VALUES (17)")
      db:reassign_shard(post, db:locate(post) == "a" and "b" or "a")
    end)

    local function drop(script)
      for _, name in ipairs { "a", "b" } do db:shard(name):exec(script) end
    end

    for _, script in ipairs { "DROP TABLE notes", "DROP TABLE notes; DROP TABLE posts" } do
      it("leave other tables' keys free to move: " .. script, function()
        drop(script)
        assert.is_true(db:reassign_shard(key, "b").moved)
        assert.is_true(db:reassign_shard(key, "a").moved)
        assert.same({}, db:verify().findings)
      end)

      it("let a move be finished that was committed by then: " .. script, function()
        pcall(move.run, core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2,
          on_step = function(name)
            if name ~= "commit" then return end
            drop(script)
            error "the mover dies"
          end })
        assert.equal(1, db:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes)
        recovery.run(core.state(db), true)
        assert.equal("b", (db:locate(key)))
        assert.same({}, fixture.rows("a.db", "SELECT * FROM users"))
        assert.same({}, db:verify().findings)
      end)
    end
  end)
end
