-- Groups with a table KV as the directory: reached whole, their members found, and taken over, as with a file.

local fixture = require "spec.support.fixture"
local table_kv = require "spec.support.table_kv"

local SHOP <const> = [[
  CREATE TABLE users (id TEXT PRIMARY KEY);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE);
  CREATE INDEX orders_user ON orders (user_id);
  CREATE TABLE items (order_id INTEGER REFERENCES orders ON DELETE CASCADE, line INTEGER,
    PRIMARY KEY (order_id, line)) WITHOUT ROWID;
  CREATE TABLE posts (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE);
  CREATE INDEX posts_user ON posts (user_id);
]]

-- Ten users on each shard, each with an order that has a number of its own, an item of that, and a post.
local function shop()
  for at, name in ipairs { "a", "b" } do
    local rows = {}
    for i = 1, 10 do
      local user, order = name .. i, at * 100 + i
      rows[i] = ([[INSERT INTO users VALUES ('%s'); INSERT INTO orders VALUES (%d, '%s');
        INSERT INTO items VALUES (%d, 1); INSERT INTO posts VALUES ('post-%s', '%s');]]):format(user, order, user,
        order, user, user)
    end
    fixture.sqlite(name .. ".db", SHOP .. table.concat(rows))
  end
end

local function check_found(db)
  for at, name in ipairs { "a", "b" } do
    for i = 1, 10 do
      local user, order, post = name .. i, at * 100 + i, "post-" .. name .. i
      assert.equal(order, db:first(user, "SELECT id FROM orders WHERE user_id = ?", { user }).id)
      assert.equal(user, db:first(order, "SELECT user_id FROM orders WHERE id = ?", { order }).user_id)
      assert.equal(1, db:first(order, "SELECT line FROM items WHERE order_id = ?", { order }).line)
      assert.equal(user, db:first(post, "SELECT user_id FROM posts WHERE id = ?", { post }).user_id)
      assert.equal(name, (db:locate(order, "orders")))
      assert.equal(name, (db:locate(post)))
    end
  end
end

local function check_new(db)
  for i = 1, 10 do
    local user, order = "n" .. i, 900 + i
    fixture.raises("USAGE", "users", db.insert, db, order, "INSERT INTO orders VALUES (?, ?)", { order, user })
    db:insert(user, "INSERT INTO users VALUES (?)", { user })
    db:insert(user, "INSERT INTO orders VALUES (?, ?)", { order, user })
    db:insert(order, "INSERT INTO items VALUES (?, 1)", { order })
    local holder = fixture.holders({ "a", "b" }, "users", "id", user)
    assert.equal(1, #holder)
    assert.same(holder, fixture.holders({ "a", "b" }, "orders", "id", order))
    assert.same(holder, fixture.holders({ "a", "b" }, "items", "order_id", order))
  end
end

describe("a group, with a table KV as the directory,", function()
  local kv
  before_each(function()
    fixture.start()
    kv = table_kv.memory()
  end)
  after_each(fixture.stop)

  local function entries()
    local count = 0
    for name in pairs(kv.data) do count = count + (name:find "^shard:" and 1 or 0) end
    return count
  end

  for _, strategy in ipairs { "hash", "random" } do
    for _, keyspaces in ipairs { true, false } do
      for _, integrated in ipairs { false, true } do
        it(("is reached by its key, and its members by theirs: %s, keyspaces %s, %s"):format(strategy, keyspaces,
          integrated and "integrated" or "probed"), function()
          shop()
          local function open()
            return fixture.open(fixture.config { kv = kv, strategy = strategy, keyspaces = keyspaces,
              auto_migrate = integrated })
          end
          local db = open()
          check_found(db)
          check_found(db)
          check_new(db)
          db:close()
          check_found(open())
        end)
      end
    end
  end

  for _, keyspaces in ipairs { true, false } do
    it("has entries for its keys alone, keyspaces " .. tostring(keyspaces), function()
      shop()
      local db = fixture.open(fixture.config { kv = kv, strategy = "random", keyspaces = keyspaces })
      local report = db:integration_report "b"
      assert.is_true(report.success, table.concat(report.issues, "\n"))
      assert.same({ 4, 40, 10 }, { report.tables_processed, report.total_records, report.entries })
      assert.equal(20, entries())
      assert.equal(10, db:rollback("b").entries_removed)
      check_found(db)
      assert.equal(10, db:integrate("b").entries)
      check_found(db)
    end)
  end

  it("of integers shares their numbers with its members where there are no keyspaces", function()
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", ([[CREATE TABLE teams (id INTEGER PRIMARY KEY);
        CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER REFERENCES teams ON DELETE CASCADE);
        CREATE INDEX people_team ON people (team);
        INSERT INTO teams VALUES (%d), (%d); INSERT INTO people VALUES (%d, %d), (%d, %d)]]):format(i, i + 10, i * 50,
        i, 3 - i, i))
    end
    local db = fixture.open(fixture.config { kv = kv, keyspaces = false })
    for i, name in ipairs { "a", "b" } do
      assert.equal(name, (db:locate(i, "teams")))
      assert.equal(name, (db:locate(i + 10, "teams")))
      for _, key in ipairs { i, i + 10, i * 50 } do
        assert.same({ name, name }, { (db:locate(key)), (db:locate(tostring(key))) })
      end
      assert.equal(2, #db:all(i, "SELECT id FROM people WHERE team = ?", { i }))
      assert.equal(i, db:first(i * 50, "SELECT team FROM people WHERE id = ?", { i * 50 }).team)
      db:insert(i, "INSERT INTO people VALUES (?, ?)", { i * 60, i })
      assert.same({ name }, fixture.holders({ "a", "b" }, "people", "id", i * 60))
    end
    fixture.raises("USAGE", "teams", db.insert, db, 999, "INSERT INTO people VALUES (999, 1)")
    assert.same({ "1", "11" }, db:mapper():get_keys_for_shard "a")
  end)

  it("is found by rows that have lost their parent, and the report is that of a file", function()
    shop()
    fixture.sqlite("b.db", "DELETE FROM users WHERE id = 'b3'; INSERT INTO users VALUES ('a1')")
    local reports = {}
    for i, where in ipairs { fixture.path "directory.db", kv } do
      local db = fixture.open(fixture.config { kv = where })
      reports[i] = db:integration_report "b"
      assert.equal(203, db:first("b3", "SELECT id FROM orders WHERE user_id = 'b3'").id)
      assert.equal("b3", db:first(203, "SELECT user_id FROM orders WHERE id = 203").user_id)
      db:close()
    end
    assert.equal(1, reports[1].conflict_count)
    assert.same(reports[1], reports[2])
  end)
end)
