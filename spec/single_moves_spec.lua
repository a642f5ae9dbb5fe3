-- Moving groups to and from shards that take a statement at a time.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fixture = require "spec.support.fixture"
local recovery = require "collegedb.recovery"

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

local function open_again(single)
  local settings = fixture.config()
  for _, shard in ipairs(settings.shards) do
    shard[1] = collegedb.sqlite(shard[1])
    shard[1].single = single[shard.name]
  end
  return fixture.open(settings)
end

local function open(single)
  local db = open_again(single)
  for _, name in ipairs { "a", "b" } do db:shard(name):exec(SHOP) end
  return db
end

local function remove_files()
  for _, name in ipairs { "a", "b", "directory" } do os.remove(fixture.path(name .. ".db")) end
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


local COMMITTED <const> = { commit = true, activate = true, publish = true, clean = true, close = true }

-- All rows are on one shard, and the key is found and written there.
local function check_whole(db, key, before, on)
  local off = on == "a" and "b" or "a"
  assert.same(before, contents(on))
  assert.same(nothing, count(off))
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

-- Statements of shards that take one at a time raise OUTCOME_UNKNOWN from the n-th on, `times` times, after they were
-- done or before. Returns what ends that, and tells how many there were.
local function lose_answers(n, done_before, times)
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
      check_whole(db, key, before, "b")
    end)

    for _, step in ipairs(require("collegedb.workflows.move").steps) do
      it("is finished or undone when the mover dies after " .. step, function()
        local db = open(single)
        local key = make(db, 1, 3)
        local before = contents "a"
        db:close()
        local pipe = fixture.spawn(([[
          local core, move = require "collegedb.core", require "collegedb.workflows.move"
          local function shard(name, single)
            local value = collegedb.sqlite(folder .. "/" .. name .. ".db")
            value.single = single
            return { name = name, value }
          end
          local db = collegedb.open { kv = folder .. "/directory.db", shards = { shard("a", %s), shard("b", %s) } }
          move.run(core.state(db), { keyspace = "", keys = { %q }, source = 1, target = 2, on_step = function(name)
            if name == %q then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
          end })]]):format(single.a or false, single.b or false, key, step))
        pipe:read "a"
        pipe:close()
        db = open_again(single)
        recovery.run(core.state(db), true)
        check_whole(db, key, before, COMMITTED[step] and "b" or "a")
        assert.is_true(db:reassign_shard(key, COMMITTED[step] and "a" or "b").moved)
      end)
    end

    for _, done_before in ipairs { true, false } do
      local how = done_before and "was done" or "was not done"
      it("goes on when the answer of any statement is lost that " .. how, function()
        local n, calls = 1, 1
        while n <= calls do
          local db = open(single)
          local key = make(db, n * 10, 2)
          local before = contents "a"
          local restore = lose_answers(n, done_before, 1)
          local moved, err = pcall(db.reassign_shard, db, key, "b")
          calls = restore()
          assert(moved, ("statement %d: %s"):format(n, tostring(err)))
          check_whole(db, key, before, "b")
          db:close()
          remove_files()
          n = n + 1
        end
      end)

      it("is finished or undone when every answer is lost from then on, of what " .. how, function()
        local n, calls = 1, 1
        while n <= calls do
          local db = open(single)
          local key = make(db, n * 10, 2)
          local before = contents "a"
          local restore = lose_answers(n, done_before, 1000)
          local moved, err = pcall(db.reassign_shard, db, key, "b")
          calls = restore()
          assert(moved == false or n > calls, "it was done")
          if not moved then assert.equal("OUTCOME_UNKNOWN", err.code, tostring(err)) end
          recovery.run(core.state(db), true)
          local on = count("a").users == 1 and "a" or "b"
          check_whole(db, key, before, on)
          db:close()
          remove_files()
          n = n + 1
          if calls >= 1000 then calls = n end
        end
      end)
    end
  end)
end
