-- A user was moved between two looks at the shard that it left, while an order of it was inserted: the INSERT was
-- refused with USAGE, as if nobody knew the user.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local probe = require "collegedb.probe"

describe("regression 452: a user that moves while an order of it is inserted", function()
  local has = probe.has
  before_each(fixture.start)
  after_each(function()
    probe.has = has
    fixture.stop()
  end)

  for _, entry in ipairs { false, true } do
    it(entry and "away from where its entry says" or "away from its home", function()
      local db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY);
        CREATE TABLE orders (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE)]]
      local other = fixture.open(fixture.config())
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?)", { key })
      local from, to = 1, 2
      if entry then
        db:reassign_shard(key, "b")
        fixture.rows("b.db", "DELETE FROM _collegedb_own") -- as when nothing is remembered of that any more
        from, to = 2, 1
        fixture.rows("a.db", "DELETE FROM _collegedb_own")
      end
      db:flush_cache()
      function probe.has(...)
        probe.has = has
        move.run(core.state(other), { keyspace = "", keys = { key }, source = from, target = to })
        return has(...)
      end
      db:insert(key, "INSERT INTO orders VALUES ('o1', ?)", { key })
      assert.equal(has, probe.has)
      assert.same({ to == 1 and "a" or "b" }, fixture.holders({ "a", "b" }, "orders", "user_id", key))
      fixture.raises("USAGE", "no row there has the key nobody", db.insert, db, "nobody",
        "INSERT INTO orders VALUES ('o2', 'nobody')")
      assert.is_true(db:verify().success)
    end)
  end
end)
