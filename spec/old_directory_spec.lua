-- A directory that is lost, or older than its shards: every row is found, and no key gets a second place.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

local SHOP = [[
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS nums (id INTEGER PRIMARY KEY, n INTEGER);]]

local NAMES = { "a", "b", "c" }

local function insert(db, first, last)
  for i = first, last do
    local key = "k" .. i
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    db:insert(key, "INSERT INTO orders VALUES (?, ?)", { i, key })
    db:insert(db:key("nums", i), "INSERT INTO nums VALUES (?, 1)", { i })
  end
end

-- Moves some keys to the shard after theirs.
local function move(db, first, last)
  for i = first, last do
    for _, key in ipairs { "k" .. i, db:key("nums", i) } do
      local at = db:locate(key)
      db:reassign_shard(key, ({ a = "b", b = "c", c = "a" })[at])
    end
  end
end

local function assert_all(db, count)
  for i = 1, count do
    local key, num = "k" .. i, db:key("nums", i)
    assert.equal(1, db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes, key)
    assert.equal(1, #db:all(key, "SELECT id FROM orders WHERE user_id = ?", { key }), key)
    assert.equal(1, db:run(num, "UPDATE nums SET n = n + 1 WHERE id = ?", { i }).meta.changes, "nums " .. i)
    assert.equal(1, #fixture.holders(NAMES, "users", "id", key))
    fixture.raises("CONSTRAINT", nil, db.insert, db, key, "INSERT INTO users VALUES (?, 5)", { key })
  end
end

local function listen()
  local events = {}
  return events, function(event) events[event.event] = event.message end
end

for _, strategy in ipairs { "hash", "round_robin" } do
  describe("under " .. strategy, function()
    before_each(fixture.start)
    after_each(fixture.stop)

    local function open(extra)
      local fields = { strategy = strategy }
      for name, value in pairs(extra or {}) do fields[name] = value end
      return fixture.open(fixture.config(fields, NAMES))
    end

    -- Makes some keys, of which some have moved, and closes; the directory is put back as it was before `later`.
    local function restore(later)
      local db = open()
      db:ensure_schema(SHOP)
      insert(db, 1, 6)
      move(db, 1, 3)
      db:close()
      local bytes = fixture.bytes "directory.db"
      db = open()
      later(db)
      db:close()
      fixture.write("directory.db", bytes)
    end

    for _, mode in ipairs { true, false } do
      it("a lost directory: all is found, auto_migrate = " .. tostring(mode), function()
        local db = open()
        db:ensure_schema(SHOP)
        insert(db, 1, 8)
        move(db, 1, 4)
        db:close()
        assert(os.remove(fixture.path "directory.db"))
        local events, on_event = listen()
        db = open { auto_migrate = mode, on_event = on_event }
        assert.matches("older", events.old_directory)
        assert_all(db, 8)
        local counted, seen = require("collegedb.moves").numbers(core.state(db))
        assert.equal(seen, counted)
        move(db, 4, 6)
        assert_all(db, 8)
        local report = db:verify()
        assert.same({}, report.findings)
        db:close()
        events, on_event = listen()
        db = open { on_event = on_event }
        assert.is_nil(events.old_directory)
        assert_all(db, 8)
      end)

      it("an older directory, moves since: it learns where keys are, auto_migrate = " .. tostring(mode), function()
        restore(function(db)
          insert(db, 7, 10)
          move(db, 3, 7)
        end)
        local events, on_event = listen()
        local db = open { auto_migrate = mode, on_event = on_event }
        assert.matches("older", events.old_directory)
        assert_all(db, 10)
        assert.same({}, db:verify().findings)
        move(db, 1, 8)
        assert_all(db, 10)
      end)

      it("an older directory, only new keys since: they are found, auto_migrate = " .. tostring(mode), function()
        restore(function(db) insert(db, 7, 14) end)
        local db = open { auto_migrate = mode }
        assert_all(db, 14)
        assert.same({}, db:verify().findings)
      end)
    end

    it("keys whose rows are gone stay where they have moved", function()
      local key
      restore(function(db)
        move(db, 5, 5)
        key = "k5"
        db:run(key, "DELETE FROM orders WHERE user_id = ?", { key })
        db:run(key, "DELETE FROM users WHERE id = ?", { key })
      end)
      local db = open { forward_retention = 0 }
      db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      db:close()
      db = open { forward_retention = 0 }
      assert.equal(1, #fixture.holders(NAMES, "users", "id", key))
      assert(db:first(key, "SELECT 1 FROM users WHERE id = ?", { key }))
    end)

    it("a move that was under way when the directory was saved is known", function()
      local db = open()
      db:ensure_schema(SHOP)
      insert(db, 1, 4)
      local state, bytes = core.state(db), nil
      local from = db:locate "k1"
      local to = from == "a" and "b" or "a"
      require("collegedb.workflows.move").run(state, { keyspace = "", keys = { "k1" },
        source = state.by_name[from], target = state.by_name[to], on_step = function(step)
          if step ~= "commit" then return end
          process.run { "sqlite3", fixture.path "directory.db", ("VACUUM INTO '%s'"):format(fixture.path "saved.db") }
          bytes = fixture.bytes "saved.db"
        end })
      db:close()
      fixture.write("directory.db", bytes)
      fixture.rows("directory.db", "UPDATE _collegedb_moves SET lease = 0")
      db = open { forward_retention = 0, auto_migrate = false }
      assert.equal("directory", select(2, db:locate "k1"))
      assert_all(db, 4)
      assert.same({}, db:verify().findings)
    end)
  end)
end

describe("after shards were added", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- Keys of before, of while and of after a third shard came, with the directory as it was at each of these times.
  local function grow()
    local db, saved = fixture.database(SHOP), {}
    local function save()
      db:close()
      saved[#saved + 1] = fixture.bytes "directory.db"
      db = fixture.open(fixture.config({}, #saved > 1 and NAMES or nil))
    end
    insert(db, 1, 20)
    save()
    db:add_shard { name = "c", fixture.path "c.db" }
    insert(db, 21, 30)
    save()
    db:rebalance()
    insert(db, 31, 40)
    db:close()
    return saved
  end

  local function check()
    local db = fixture.open(fixture.config({}, NAMES))
    assert_all(db, 40)
    assert.same({}, db:verify().findings)
    db:close()
    db = fixture.open(fixture.config({ auto_migrate = false }, NAMES))
    assert_all(db, 40)
    assert.same({}, db:verify().findings)
  end

  it("the directory is lost", function()
    grow()
    os.remove(fixture.path "directory.db")
    check()
    assert.is_true(fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n < 20)
  end)

  for i, what in ipairs { "before it came", "before keys were moved to it" } do
    it("the directory is older, from " .. what, function()
      fixture.write("directory.db", grow()[i])
      check()
    end)
  end
end)
