-- A statement that met nothing, for a key of a row inside a group that is still there, gave the names of its columns
-- for its answer.

local fixture = require "spec.support.fixture"

describe("regression 060:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("nothing is nothing, where the row is but does not match", function()
    for i, check_keys in ipairs { false, true } do
      local db = fixture.database([[CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY);
        CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, total INTEGER,
          user_id TEXT REFERENCES users ON DELETE CASCADE)]], { check_keys = check_keys })
      local user = "u" .. i
      db:insert(user, "INSERT INTO users VALUES (?)", { user })
      db:insert(user, "INSERT INTO orders VALUES (?, 3, ?)", { i, user })
      for _ = 1, 2 do
        assert.is_nil(db:first(i, "SELECT * FROM orders WHERE id = ? AND total > 5", { i }))
        assert.same({}, db:all(i, "SELECT * FROM orders WHERE id = ? AND total > 5", { i }))
        local result = db:run(i, "UPDATE orders SET total = 1 WHERE id = ? AND total > 5", { i })
        assert.same({ {}, {}, 0 }, { result.results, result.columns, result.meta.changes })
      end
      db:close()
    end
  end)
end)
