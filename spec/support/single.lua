-- Worlds of two shards, a and b, of which some take a statement at a time: files that refuse transactions as D1 does.

local assert = require "luassert"
local collegedb = require "collegedb"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fixture = require "spec.support.fixture"
local recovery = require "collegedb.recovery"

local single = {}

single.BOTH = { a = true, b = true }

single.SHOP = [[
CREATE TABLE users (id TEXT PRIMARY KEY, mail TEXT UNIQUE, n INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE, v,
  UNIQUE (user_id, v));
CREATE TABLE items (order_id INTEGER REFERENCES orders ON DELETE CASCADE, line INTEGER, v, PRIMARY KEY (order_id, line))
  WITHOUT ROWID;
CREATE TABLE settings (id TEXT PRIMARY KEY, v);]]

single.VALUES = { 1, -1, math.maxinteger, 1.5, 0.1, "text", "with\0nul", "é", 5e-324, -1.7976931348623157e308, 1/0,
  "\xff\xfe", '"quotes\\', "\n\t\1", math.mininteger, 2.0^53 + 2, 1e22, -math.pi }

---Opens it, with the tables as they are.
---@param which table<string, boolean> the shards that take a statement at a time
function single.open_again(which, extra)
  local settings = fixture.config(extra)
  for _, shard in ipairs(settings.shards) do
    shard[1] = collegedb.sqlite(shard[1])
    shard[1].single = which[shard.name]
    shard.synchronous = "off" -- programs are killed here, not machines
  end
  return fixture.open(settings)
end

function single.open(which)
  local db = single.open_again(which)
  for _, name in ipairs { "a", "b" } do db:shard(name):exec(single.SHOP) end
  return db
end

---Lua source that makes `db`, in another process.
---@param which table<string, boolean>
function single.source(which)
  return ([[
    local function shard(name, single)
      local value = collegedb.sqlite(folder .. "/" .. name .. ".db")
      value.single = single
      return { name = name, value }
    end
    local db = collegedb.open { kv = folder .. "/directory.db", shards = { shard("a", %s), shard("b", %s) } }
    ]]):format(which.a or false, which.b or false)
end

function single.remove_files()
  for _, name in ipairs { "a", "b", "directory" } do os.remove(fixture.path(name .. ".db")) end
end

---A user on shard a, with orders and items; returns the key.
function single.make(db, from, n)
  local key = fixture.key_on(db, "a", from)
  db:insert(key, "INSERT INTO users VALUES (?, ?, 1)", { key, key .. "@x" })
  db:insert(key, "INSERT INTO settings VALUES (?, 's')", { key })
  for i = 1, n or #single.VALUES do
    local id = (from or 1) * 100 + i
    db:insert(key, "INSERT INTO orders VALUES (?, ?, ?)", { id, key, single.VALUES[i] or i })
    db:insert(key, "INSERT INTO items VALUES (?, 1, ?), (?, 2, NULL)", { id, collegedb.blob("b\0" .. i), id })
  end
  return key
end

function single.count(name)
  return fixture.rows(name .. ".db", [[SELECT (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM items) AS items,
    (SELECT count(*) FROM settings) AS settings]])[1]
end

single.NOTHING = { users = 0, orders = 0, items = 0, settings = 0 }

function single.contents(name)
  local list = {}
  for i, each in ipairs { "users", "orders", "items", "settings" } do
    list[i] = fixture.rows(name .. ".db", ("SELECT *, typeof(%s) AS kind FROM %s ORDER BY 1, 2"):format(
      each == "users" and "n" or "v", each))
  end
  return list
end

---All rows are on one shard, and the key is found and written there.
function single.check_whole(db, key, before, on)
  local off = on == "a" and "b" or "a"
  assert.same(before, single.contents(on))
  assert.same(single.NOTHING, single.count(off))
  assert.equal(on, (db:locate(key)))
  assert.equal(1, db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes)
  assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  assert.equal(1, db:run(key, "UPDATE users SET n = n - 1 WHERE id = ?", { key }).meta.changes)
  assert.same({ finished = 0, undone = 0, live = 0 }, (recovery.run(core.state(db), true)))
  for _, name in ipairs { "a", "b" } do
    for _, row in ipairs(fixture.rows(name .. ".db", [[SELECT name FROM sqlite_schema
        WHERE type = 'table' AND name LIKE '\_collegedb\_stage\_%' ESCAPE '\']])) do
      assert.equal(0, fixture.rows(name .. ".db", ("SELECT count(*) AS n FROM %q"):format(row.name))[1].n)
    end
  end
  assert.same({}, db:verify().findings)
end

---Statements of shards that take one at a time raise OUTCOME_UNKNOWN from the n-th on, `times` times, after they were
-- done or before. Returns what ends that, and tells how many there were.
function single.lose_answers(n, done_before, times)
  local methods, calls = core.shard_methods, 0
  local kept, pause = { run = methods.run, exec = methods.exec }, core.pause
  core.pause = function() end
  for name, method in pairs(kept) do
    methods[name] = function(handle, ...)
      if not core.is_single(handle) then return method(handle, ...) end
      calls = calls + 1
      if calls < n or calls >= n + times then return method(handle, ...) end
      if done_before then method(handle, ...) end
      errors.raise("OUTCOME_UNKNOWN", nil, "the answer was lost")
    end
  end
  return function()
    core.pause = pause
    for name, method in pairs(kept) do methods[name] = method end
    return calls
  end
end

---Shards that take a statement at a time can not be reached from their n-th statement on, reads too. Returns what ends
---that, and tells how many there were.
function single.disconnect(n)
  local calls, pause, kept = 0, core.pause, {}
  core.pause = function() end
  for class, methods in pairs { shard = core.shard_methods, tx = core.tx_methods } do
    kept[class] = {}
    for _, name in ipairs { "run", "exec", "first", "all", "each" } do
      local method = methods[name]
      kept[class][name] = method
      methods[name] = function(handle, ...)
        if not core.is_single(handle) then return method(handle, ...) end
        calls = calls + 1
        if calls >= n then errors.raise("UNAVAILABLE", nil, "no connection") end
        return method(handle, ...)
      end
    end
  end
  return function()
    core.pause = pause
    for name, method in pairs(kept.shard) do core.shard_methods[name] = method end
    for name, method in pairs(kept.tx) do core.tx_methods[name] = method end
    return calls
  end
end

return single
