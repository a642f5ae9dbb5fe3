-- A key of a table that followed another until a moment ago, in another program, was an error inside of CollegeDB.

local fixture = require "spec.support.fixture"

local FORM <const> = "CREATE TABLE orders (id %s PRIMARY KEY, user_id TEXT REFERENCES users %s);"

local function both(script)
  for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", script) end
end

describe("regression 068:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, kind in ipairs { "INTEGER", "TEXT" } do
    it("a table may leave its groups while a database is open, by keys of type " .. kind, function()
      local SELECT <const>, INSERT <const> = "SELECT 1 FROM orders WHERE id = ?", "INSERT INTO orders VALUES (?, 'u1')"
      local function key(i) return kind == "TEXT" and "o" .. i or i end
      both("CREATE TABLE users (id TEXT PRIMARY KEY);" .. FORM:format(kind, "ON DELETE CASCADE"))
      local db = fixture.open(fixture.config())
      db:insert("u1", "INSERT INTO users VALUES ('u1')")
      for i = 1, 10 do db:insert("u1", INSERT, { key(i) }) end
      for i = 1, 10 do assert.is_not_nil(db:first(key(i), SELECT, { key(i) })) end
      both("ALTER TABLE orders RENAME TO old;" .. FORM:format(kind, "")
        .. "INSERT INTO orders SELECT * FROM old; DROP TABLE old")
      for i = 11, 30 do
        db:insert(key(i), INSERT, { key(i) })
        assert.is_not_nil(db:first(key(i), SELECT, { key(i) }))
      end
      -- The rows of before are not where such keys are at home: the next open finds that out.
      db = fixture.open(fixture.config())
      for i = 1, 30 do assert.is_not_nil(db:first(key(i), SELECT, { key(i) }), key(i)) end
    end)
  end
end)
