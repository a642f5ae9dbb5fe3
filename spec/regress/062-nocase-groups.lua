-- A string in a statement of a table that follows another was compared by the table's own rules, and not by those of
-- the root: with `users.id COLLATE NOCASE`, orders of "Ada" went to another shard than the user "Ada".

local fixture = require "spec.support.fixture"

local NAMES <const> = { "a", "b" }

describe("regression 062:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, case in ipairs {
    { root = "COLLATE NOCASE", own = "INTEGER" },
    { root = "COLLATE NOCASE", own = "TEXT" },
    { root = "COLLATE NOCASE", own = "TEXT", check_keys = true },
    { root = "COLLATE NOCASE", own = "TEXT COLLATE NOCASE" },
    { root = "", own = "TEXT COLLATE NOCASE" },
  } do
    it(("groups by a key %s hold rows by a key %s%s"):format(case.root, case.own,
        case.check_keys and ", with check_keys" or ""), function()
      local db = fixture.database(([[CREATE TABLE users (id TEXT PRIMARY KEY %s);
        CREATE TABLE orders (id %s PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE)]]):format(case.root,
        case.own), { check_keys = case.check_keys })
      local any_case = case.root ~= ""
      for i = 1, 20 do
        local user, order = "User" .. i, case.own == "INTEGER" and i or "Order" .. i
        db:insert(user, "INSERT INTO users VALUES (?)", { user })
        local spelt = any_case and not case.check_keys and user:upper() or user
        db:insert(spelt, "INSERT INTO orders VALUES (?, ?)", { order, user })
        local holders = fixture.holders(NAMES, "users", "id", user)
        assert.same(holders, fixture.holders(NAMES, "orders", "id", order))
        for _, key in ipairs { user, any_case and user:upper() or user } do
          for _ = 1, 2 do
            assert.equal(1, #db:all(key, "SELECT id FROM orders WHERE user_id = ?", { user }))
          end
        end
        for _ = 1, 2 do
          assert.equal(1, db:run(order, "UPDATE orders SET user_id = user_id WHERE id = ?", { order }).meta.changes)
        end
        if case.own:find "NOCASE" then
          assert.is_not_nil(db:first(order:lower(), "SELECT id FROM orders WHERE id = ?", { order }))
        end
      end
    end)
  end
end)
