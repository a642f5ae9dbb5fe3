-- On a shard that takes a statement at a time a table that was dropped and made again while a move of its keys was
-- under way stood before no fence, or got one again when another program took keys; the move was committed all the
-- same, and rows that were written to the new table meanwhile were deleted with the old ones.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local single_fence = require "collegedb.single_fence"

describe("a table that is made anew while keys of it are moved", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, again in ipairs { false, true } do
    it("keeps what was written to it" .. (again and ", also when others want the fence up" or ""), function()
      local settings = fixture.config()
      for _, shard in ipairs(settings.shards) do
        shard[1] = collegedb.sqlite(shard[1])
        shard[1].single = true
      end
      local db = fixture.open(settings)
      db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY, n)"
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      fixture.raises("CONFLICT", "changed meanwhile", move.run, core.state(db), { keyspace = "", keys = { key },
        source = 1, target = 2, on_step = function(name)
          if name ~= "copy" then return end
          db:shard "a":exec [[CREATE TABLE old (id TEXT PRIMARY KEY, n); INSERT INTO old SELECT * FROM users;
            DROP TABLE users; CREATE TABLE users (id TEXT PRIMARY KEY, n); INSERT INTO users SELECT * FROM old;
            DROP TABLE old;]]
          db:shard "a":exec "UPDATE users SET n = 2" -- by another program
          if again then pcall(single_fence.hold, core.state(db), 1, "", true) end
        end })
      assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      assert.is_true(db:reassign_shard(key, "b").moved)
      assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    end)
  end
end)
