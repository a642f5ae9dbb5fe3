-- Schemas and growing where shards take a statement at a time.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local single = require "spec.support.single"

local function more()
  local value = collegedb.sqlite(fixture.path "c.db")
  value.single = true
  return { name = "c", value }
end

local function fill(db)
  local keys = {}
  for i = 1, 24 do
    keys[i] = "user" .. i
    db:insert(keys[i], "INSERT INTO users VALUES (?, ?, 0)", { keys[i], keys[i] })
  end
  return keys
end

local function check_all(db, keys, n)
  for _, key in ipairs(keys) do
    assert.equal(1, db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes)
    assert.equal(n, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end
  assert.same({}, db:verify().findings)
end

local function orders_of(name)
  return fixture.rows(name .. ".db", "SELECT name FROM sqlite_schema WHERE name = 'orders'")
end

describe("where shards take a statement at a time", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a shard is added, takes its share, and another one is drained and opened again", function()
    local db = single.open(single.BOTH)
    local keys = fill(db)
    db:add_shard(more())
    assert.is_true(db:rebalance().success)
    assert.is_true(db:shard("c"):first("SELECT count(*) AS n FROM users").n > 0)
    check_all(db, keys, 1)
    assert.is_true(db:drain("a").success)
    fixture.raises("MOVED", nil, function() db:shard("a"):run "INSERT INTO users VALUES ('x', 'x', 0)" end)
    check_all(db, keys, 2)
    db:add_shard { name = "a", collegedb.sqlite(fixture.path "a.db") }
    assert.is_true(db:rebalance().success)
    check_all(db, keys, 3)
    assert.is_true(db:shard("a"):first("SELECT count(*) AS n FROM users").n > 0)
  end)

  for _, done_before in ipairs { true, false } do
    it("growing goes on when the answer of a statement is lost that was "
        .. (done_before and "done" or "not done"), function()
      local n, calls = 1, 1
      while n <= calls do
        local db = single.open(single.BOTH)
        local keys = fill(db)
        local restore = single.lose_answers(n, done_before, 1)
        local done, err = pcall(function()
          db:add_shard(more())
          assert(db:rebalance().success)
          assert(db:drain("a").success)
        end)
        calls = restore()
        assert(done, ("statement %d: %s"):format(n, tostring(err)))
        check_all(db, keys, 1)
        db:close()
        single.remove_files()
        os.remove(fixture.path "c.db")
        n = n + (calls > 40 and 3 or 1)
      end
    end)
  end

  it("a program of an older placement is refused where a key would have been", function()
    local db = single.open(single.BOTH)
    local stale = single.open_again(single.BOTH)
    local keys = fill(db)
    db:add_shard(more())
    for i = 100, 140 do
      local key, first, second = "user" .. i, db, stale
      if i % 2 == 0 then first, second = stale, db end
      first:insert(key, "INSERT INTO users VALUES (?, ?, 0)", { key, key })
      fixture.raises("CONSTRAINT", nil, second.insert, second, key, "INSERT INTO users VALUES (?, 'other', 0)", { key })
      keys[#keys + 1] = key
    end
    assert.is_true(db:rebalance().success)
    check_all(stale, keys, 1)
    check_all(db, keys, 2)
  end)

  it("a schema is made statement by statement, and goes on when it is ensured again", function()
    local db = single.open_again(single.BOTH)
    local script = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY); CREATE TABLE odd (id TEXT PRIMARY KEY, );"
    local e = fixture.raises("SQL", "1 statements of the script before", db.ensure_schema, db, script)
    assert.equal("a", e.shard)
    db:ensure_schema(single.SHOP:gsub("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
    assert.equal(1, #orders_of "b")
  end)

  it("a schema is made though answers are lost", function()
    for _, done_before in ipairs { true, false } do
      local n, calls = 1, 1
      while n <= calls do
        local db = single.open_again(single.BOTH)
        local restore = single.lose_answers(n, done_before, 1)
        local done, err = pcall(db.ensure_schema, db, single.SHOP)
        calls = restore()
        assert(done, ("statement %d: %s"):format(n, tostring(err)))
        assert.equal(1, #orders_of "a")
        assert.equal(1, #orders_of "b")
        db:close()
        single.remove_files()
        n = n + 1
      end
    end
  end)

  it("new tables of a schema are behind the fence", function()
    local db = single.open(single.BOTH)
    local key = single.make(db, 1, 2)
    local stale = single.open_again(single.BOTH)
    assert.equal(1, stale:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    db:reassign_shard(key, "b")
    db:ensure_schema "CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE)"
    stale:insert(key, "INSERT INTO notes VALUES (1, ?)", { key })
    assert.equal(1, fixture.rows("b.db", "SELECT count(*) AS n FROM notes")[1].n)
    assert.is_true(db:reassign_shard(key, "a").moved)
    assert.equal(1, fixture.rows("a.db", "SELECT count(*) AS n FROM notes")[1].n)
  end)
end)
