-- A row inside a group, asked for by its own key, read as not being there: its group had left, which the statement
-- found, and was back when the row was looked for again.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local members = require "collegedb.members"

for _, consistency in ipairs { "cached", "strict" } do
  describe(("regression 495: a row whose group leaves and comes back, %s:"):format(consistency), function()
    local find = members.find
    local db, key

    before_each(function()
      fixture.start()
      db = fixture.database([[CREATE TABLE users (id TEXT PRIMARY KEY);
        CREATE TABLE orders (id TEXT PRIMARY KEY, n INTEGER, user_id TEXT REFERENCES users ON DELETE CASCADE)]],
        { consistency = consistency })
      key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?)", { key })
      db:insert(key, "INSERT INTO orders VALUES ('o1', 1, ?)", { key })
      assert.equal(1, db:first("o1", "SELECT n FROM orders WHERE id = 'o1'").n)
      local other = fixture.open(fixture.config())
      other:reassign_shard(key, "b")
      function members.find(state, ...)
        if state ~= core.state(db) then return find(state, ...) end
        members.find = find
        other:reassign_shard(key, "a")
        return find(state, ...)
      end
    end)

    after_each(function()
      assert.equal(find, members.find)
      members.find = find
      fixture.stop()
    end)

    it("is read", function()
      assert.same({ n = 1 }, db:first("o1", "SELECT n FROM orders WHERE id = 'o1'"))
    end)

    it("is read among others", function()
      assert.same({ { n = 1 } }, db:all("o1", "SELECT n FROM orders WHERE id = 'o1'"))
    end)

    it("is updated", function()
      assert.equal(1, db:run("o1", "UPDATE orders SET n = 2 WHERE id = 'o1'").meta.changes)
    end)

    it("is not made up", function()
      assert.is_nil(db:first("o1", "SELECT n FROM orders WHERE id = 'o1' AND n = 2"))
    end)
  end)
end
