-- Configs that change from one opening to the next: shards added, removed, weighted anew, and strategies exchanged.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local USERS <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"
local INSERT <const> = "INSERT INTO users VALUES (?, ?)"
local COUNT <const> = 60

describe("a config that changed", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function fill(db, from)
    for i = from or 1, (from or 1) + COUNT - 1 do db:insert("u" .. i, INSERT, { "u" .. i, i }) end
  end

  local function assert_all_found(db, count)
    for i = 1, count or COUNT do
      local row = db:first("u" .. i, "SELECT n FROM users WHERE id = ?", { "u" .. i })
      assert(row and row.n == i, ("u%d is not found"):format(i))
    end
  end

  local function assert_each_once(names, count)
    local total = 0
    for _, name in ipairs(names) do
      total = total + fixture.rows(name .. ".db", "SELECT count(*) AS n FROM users")[1].n
    end
    assert.equal(count, total)
  end

  -- Every kind of call meets the row that is there, and no second one is made.
  local function assert_not_doubled(db, count)
    for i = 1, count or COUNT do
      fixture.raises("CONSTRAINT", nil, db.insert, db, "u" .. i, INSERT, { "u" .. i, 0 })
      local updated = db:update_by_primary_key("u" .. i, "UPDATE users SET n = n WHERE id = ?", { "u" .. i })
      assert.equal(1, updated.meta.changes)
    end
  end

  describe("by a third shard", function()
    local three <const> = { "a", "b", "c" }

    it("finds every row, and puts new ones on it too", function()
      local db = fixture.database(USERS)
      fill(db)
      db:close()
      db = fixture.database(USERS, nil, three)
      assert_all_found(db)
      assert_not_doubled(db)
      fill(db, COUNT + 1)
      assert_all_found(db, 2 * COUNT)
      local _, by_shard = db:count "users"
      assert.is_true(by_shard.c > 5 and by_shard.c < 40, "on c: " .. by_shard.c)
      db:close()
      assert_each_once(three, 2 * COUNT)
      db = fixture.database(nil, nil, three)
      assert_all_found(db, 2 * COUNT)
    end)

    it("that holds rows already finds those too", function()
      local db = fixture.database(USERS)
      fill(db)
      db:close()
      fixture.sqlite("c.db", USERS .. "; INSERT INTO users VALUES ('old1', 1), ('old2', 2)")
      db = fixture.database(USERS, nil, three)
      assert_all_found(db)
      assert.equal(2, db:first("old2", "SELECT n FROM users WHERE id = 'old2'").n)
    end)

    it("gives it the schema that was ensured before", function()
      fixture.database(USERS):close()
      local db = fixture.open(fixture.config(nil, three))
      assert.same({ a = 0, b = 0, c = 0 }, select(2, db:count "users"))
      assert.same({ "id", "n" }, db:shard("c"):run("SELECT * FROM users").columns)
    end)

    it("several times in a row", function()
      local names = { "a" }
      for i, name in ipairs { "b", "c", "d", "e" } do
        local db = fixture.database(USERS, nil, names)
        for k = (i - 1) * 20 + 1, i * 20 do db:insert("u" .. k, INSERT, { "u" .. k, k }) end
        assert_all_found(db, i * 20)
        db:close()
        names[#names + 1] = name
      end
      local db = fixture.database(USERS, nil, names)
      assert_all_found(db, 80)
      assert_not_doubled(db, 80)
      assert_each_once(names, 80)
    end)

    it("is refused while another instance is open, and leaves no trace", function()
      local db = fixture.database(USERS)
      fill(db)
      local e = fixture.raises("BUSY", "directory%.db", collegedb.open, fixture.config(nil, three))
      assert.is_true(e.retryable)
      assert.matches("another program", e.message)
      assert_all_found(db)
      db:insert("late", INSERT, { "late", 1 })
      db:close()
      db = fixture.open(fixture.config(nil, three))
      assert_all_found(db)
      assert.equal(1, db:first("late", "SELECT n FROM users WHERE id = 'late'").n)
      assert.same({ "id", "n" }, db:shard("c"):run("SELECT * FROM users").columns)
    end)

    it("is refused while another process has it open", function()
      fixture.database(USERS):close()
      local stop = fixture.background [[
        db = collegedb.open { kv = folder .. "/directory.db",
          shards = { a = folder .. "/a.db", b = folder .. "/b.db" } }]]
      local refused, e = pcall(collegedb.open, fixture.config(nil, three))
      stop()
      assert.is_false(refused)
      assert.is_true(collegedb.is_error(e, "BUSY"), tostring(e))
      fixture.open(fixture.config(nil, three))
    end)
  end)

  describe("by a shard less", function()
    it("names the shard for keys that live there, and finds the others", function()
      local db = fixture.database(USERS)
      fill(db)
      local where = {}
      for i = 1, COUNT do where[i] = db:locate("u" .. i) end
      db:close()
      db = fixture.open(fixture.config(nil, { "a" }))
      for i = 1, COUNT do
        local key = "u" .. i
        if where[i] == "a" then
          assert.equal(i, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
        else
          local e = fixture.raises("SHARD_NOT_FOUND", "shard b", db.first, db, key,
            "SELECT n FROM users WHERE id = ?", { key })
          assert.equal("b", e.shard)
          fixture.raises("SHARD_NOT_FOUND", nil, db.insert, db, key, INSERT, { key, 0 })
          fixture.raises("SHARD_NOT_FOUND", nil, db.locate, db, key)
        end
      end
      db:close()
      db = fixture.open(fixture.config())
      assert_all_found(db)
      assert_not_doubled(db)
    end)

    it("names it for claimed and for integrated keys", function()
      fixture.sqlite("b.db", USERS .. "; INSERT INTO users VALUES ('old1', 1), ('old2', 2), ('old3', 3)")
      local db = fixture.database(USERS, { strategy = function() return "b" end })
      db:insert("new", INSERT, { "new", 1 })
      db:close()
      db = fixture.open(fixture.config({ strategy = function() return "a" end }, { "a" }))
      for _, key in ipairs { "old1", "old2", "old3", "new" } do
        local e = fixture.raises("SHARD_NOT_FOUND", "shard b", db.first, db, key, "SELECT * FROM users")
        assert.equal("b", e.shard)
      end
      db:insert("other", INSERT, { "other", 1 })
    end)

    it("closed for new keys instead, still serves its rows", function()
      local db = fixture.database(USERS)
      fill(db)
      local _, before = db:count "users"
      db:close()
      db = fixture.open(fixture.config { shards = { b = { allocate = false } } })
      assert_all_found(db)
      assert_not_doubled(db)
      fill(db, COUNT + 1)
      local _, after = db:count "users"
      assert.equal(before.b, after.b)
      assert_all_found(db, 2 * COUNT)
    end)
  end)

  it("by weights finds every row", function()
    local db = fixture.database(USERS)
    fill(db)
    db:close()
    for _, weight in ipairs { 10, 0.1, 1 } do
      db = fixture.open(fixture.config { shards = { a = { weight = weight } } })
      assert_all_found(db)
      assert_not_doubled(db)
      db:close()
    end
    assert_each_once({ "a", "b" }, COUNT)
  end)

  it("by the order of its shards is the same", function()
    local db = fixture.database(USERS)
    fill(db)
    local where = {}
    for i = 1, COUNT do where[i] = db:locate("u" .. i) end
    local other = fixture.open(fixture.config(nil, { "b", "a" }))
    for i = 1, COUNT do assert.equal(where[i], (other:locate("u" .. i))) end
    assert_all_found(other)
  end)

  it("by the place of its files finds every row", function()
    local db = fixture.database(USERS)
    fill(db)
    db:close()
    assert(os.rename(fixture.path "b.db", fixture.path "moved.db"))
    db = fixture.open(fixture.config { shards = { b = { fixture.path "moved.db" } } })
    assert_all_found(db)
  end)

  it("by a file that is gone is refused, and the file is not made anew", function()
    local db = fixture.database(USERS)
    fill(db)
    db:close()
    assert(os.rename(fixture.path "b.db", fixture.path "kept.db"))
    local e = fixture.raises("CONFIG", "b%.db.*shard b", collegedb.open, fixture.config())
    assert.is_false(e.retryable)
    assert.is_nil(fixture.bytes "b.db")
    assert(os.rename(fixture.path "kept.db", fixture.path "b.db"))
    assert_all_found(fixture.open(fixture.config()))
  end)

  describe("by its strategy", function()
    local function to_b() return "b" end

    it("from hash to a function and back finds every row", function()
      local db = fixture.database(USERS)
      fill(db)
      db:close()
      db = fixture.open(fixture.config { strategy = to_b })
      assert_all_found(db)
      assert_not_doubled(db)
      fill(db, COUNT + 1)
      local _, by_shard = db:count "users"
      assert.is_true(by_shard.b >= COUNT)
      assert_all_found(db, 2 * COUNT)
      db:close()
      db = fixture.open(fixture.config())
      assert_all_found(db, 2 * COUNT)
      assert_not_doubled(db, 2 * COUNT)
      fill(db, 2 * COUNT + 1)
      assert_all_found(db, 3 * COUNT)
      assert_each_once({ "a", "b" }, 3 * COUNT)
    end)

    it("from one function to another needs nobody to close", function()
      local one = fixture.database(USERS, { strategy = to_b })
      local two = fixture.open(fixture.config { strategy = function() return "a" end })
      one:insert("u1", INSERT, { "u1", 1 })
      assert_all_found(two, 1)
    end)

    it("to another family is refused while another instance is open", function()
      local db = fixture.database(USERS)
      fixture.raises("BUSY", nil, collegedb.open, fixture.config { strategy = to_b })
      db:close()
      db = fixture.open(fixture.config { strategy = to_b })
      fixture.raises("BUSY", nil, collegedb.open, fixture.config())
      db:insert("u1", INSERT, { "u1", 1 })
    end)
  end)

  describe("by its secret or its form", function()
    it("refuses another secret, under which it would find nothing", function()
      fixture.sqlite("a.db", USERS .. "; INSERT INTO users VALUES ('u1', 1), ('u2', 2), ('u3', 3), ('u4', 4)")
      local db = fixture.database(USERS, { mapping_secret = "one" })
      assert_all_found(db, 4)
      db:close()
      fixture.raises("CONFIG", "mapping_secret", collegedb.open, fixture.config { mapping_secret = "two" })
      fixture.raises("CONFIG", "mapping_secret", collegedb.open, fixture.config())
      db = fixture.open(fixture.config { mapping_secret = "one" })
      assert_all_found(db, 4)
    end)

    it("names a directory of another version", function()
      fixture.database():close()
      fixture.sqlite("directory.db", "UPDATE _collegedb_counters SET value = 99 WHERE name = 'format'")
      local e = fixture.raises("CONFIG", "kv.*version", collegedb.open, fixture.config())
      assert.matches("99", e.message)
    end)

    it("works on in sparse after full and the other way", function()
      local db = fixture.database(USERS, { directory = "full" })
      fill(db)
      db:close()
      db = fixture.open(fixture.config { directory = "sparse" })
      assert_all_found(db)
      fill(db, COUNT + 1)
      db:close()
      db = fixture.open(fixture.config { directory = "full" })
      assert_all_found(db, 2 * COUNT)
      assert_not_doubled(db, 2 * COUNT)
    end)
  end)

  it("is noticed by an instance that stays open: integration by another one", function()
    fixture.sqlite("a.db", USERS .. "; INSERT INTO users VALUES ('u1', 1), ('u2', 2), ('u3', 3), ('u4', 4)")
    local one = fixture.database(USERS, { auto_migrate = false })
    local two = fixture.open(fixture.config { auto_migrate = false })
    assert_all_found(one, 2)
    two:integrate "a"
    two:integrate "b"
    assert_all_found(one, 4)
    two:rollback "a"
    assert_all_found(one, 4)
    one:flush_cache()
    assert_all_found(one, 4)
  end)
end)
