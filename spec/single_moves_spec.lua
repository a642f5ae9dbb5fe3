-- Moving groups to and from shards that take a statement at a time.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SHOP = [[
CREATE TABLE users (id TEXT PRIMARY KEY, mail TEXT UNIQUE, n INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE, v,
  UNIQUE (user_id, v));
CREATE TABLE items (order_id INTEGER REFERENCES orders ON DELETE CASCADE, line INTEGER, v, PRIMARY KEY (order_id, line))
  WITHOUT ROWID;
CREATE TABLE settings (id TEXT PRIMARY KEY, v);]]

local VALUES = { 1, -1, math.maxinteger, 1.5, 0.1, "text", "with\0nul", "é", 5e-324, -1.7976931348623157e308, 1/0,
  "\xff\xfe", '"quotes\\', "\n\t\1", math.mininteger, 2.0^53 + 2, 1e22, -math.pi }

-- Which of the shards a and b take a statement at a time.
local WORLDS <const> = { ["to one"] = { b = true }, ["from one"] = { a = true },
  ["from one to another"] = { a = true, b = true } }

local function config(single)
  local settings = fixture.config()
  for _, shard in ipairs(settings.shards) do
    if single[shard.name] then
      shard[1] = fixture.track_handle(core.sqlite(shard[1], { name = shard.name, single = true }))
    end
  end
  return settings
end

local function open(single)
  local db = fixture.open(config(single))
  for _, name in ipairs { "a", "b" } do db:shard(name):exec(SHOP) end
  return db
end

local function make(db, from, n)
  local key = fixture.key_on(db, "a", from)
  db:insert(key, "INSERT INTO users VALUES (?, ?, 1)", { key, key .. "@x" })
  db:insert(key, "INSERT INTO settings VALUES (?, 's')", { key })
  for i = 1, n or #VALUES do
    local id = (from or 1) * 100 + i
    db:insert(key, "INSERT INTO orders VALUES (?, ?, ?)", { id, key, VALUES[i] or i })
    db:insert(key, "INSERT INTO items VALUES (?, 1, ?), (?, 2, NULL)", { id, collegedb.blob("b\0" .. i), id })
  end
  return key
end

local function count(name)
  return fixture.rows(name .. ".db", [[SELECT (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM items) AS items,
    (SELECT count(*) FROM settings) AS settings]])[1]
end

local nothing = { users = 0, orders = 0, items = 0, settings = 0 }

local function contents(name)
  local list = {}
  for i, each in ipairs { "users", "orders", "items", "settings" } do
    list[i] = fixture.rows(name .. ".db", ("SELECT *, typeof(%s) AS kind FROM %s ORDER BY 1, 2"):format(
      each == "users" and "n" or "v", each))
  end
  return list
end

for what, single in pairs(WORLDS) do
  describe("moving " .. what .. " that takes a statement at a time", function()
    before_each(fixture.start)
    after_each(fixture.stop)

    it("takes the whole group of a key, with every value as it was", function()
      local db = open(single)
      local key = make(db)
      local before = contents "a"
      assert.same({ moved = true, from = "a", to = "b", rows = 2 + 3 * #VALUES }, db:reassign_shard(key, "b"))
      assert.same(nothing, count "a")
      assert.same(before, contents "b")
      assert.same({ "b", "directory" }, { db:locate(key) })
      assert.equal(#VALUES, #db:all(key, "SELECT id FROM orders WHERE user_id = ?", { key }))
      for _ = 1, 2 do
        assert.is_true(db:reassign_shard(key, "a").moved)
        assert.same(before, contents "a")
        assert.is_true(db:reassign_shard(key, "b").moved)
      end
      assert.same(before, contents "b")
      assert.same(nothing, count "a")
    end)
  end)
end
