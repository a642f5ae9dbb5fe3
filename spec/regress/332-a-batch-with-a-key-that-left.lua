-- A batch on D1 that writes another key, which has left the shard, was tried again until the deadline of moves, and
-- then said that its own key was on its way.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local kinds = require "spec.support.kinds"

for _, kind in ipairs { kinds[1], kinds.gateway } do
  describe("regress 332: a batch that writes a key which has left " .. kind.name, function()
    if kinds.skip(kind, it, function(why) pending(why) end) then return end
    setup(kind.start)
    teardown(kind.stop)
    before_each(fixture.start)
    after_each(fixture.stop)

    it("is MOVED at once, and not done", function()
      local db = kinds.open(kind)
      db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
      for _, key in ipairs { "u", "k" } do
        db:run(key, "INSERT INTO users VALUES (?, 0)", { key })
        db:reassign_shard(key, "a")
      end
      db:reassign_shard("k", "b")
      local began = core.now()
      local statements = { { "UPDATE users SET n = 5 WHERE id = 'u'" }, { "INSERT INTO users VALUES ('k', 9)" } }
      fixture.raises("MOVED", nil, db.batch, db, "u", statements)
      assert(core.now() - began < 5000)
      assert.equal(0, db:first("u", "SELECT n FROM users WHERE id = 'u'").n)
      db:reassign_shard("u", "b") -- and where its own key has left, it is done there
      db:batch("u", { statements[1] })
      assert.equal(5, db:shard("b"):first("SELECT n FROM users WHERE id = 'u'").n)
    end)
  end)
end
