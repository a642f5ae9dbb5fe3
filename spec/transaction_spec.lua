-- Transactions, savepoints and batches: all or nothing, and the shard for the transaction alone.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("a transaction", function()
  local db, key, shard_name, other_key

  before_each(function()
    fixture.start()
    db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    key, other_key = fixture.key_on(db, "a"), fixture.key_on(db, "b")
    shard_name = "a"
  end)
  after_each(fixture.stop)

  local INSERT <const> = "INSERT INTO users VALUES (?, ?)"

  local function ids()
    local list = {}
    for _, row in ipairs(fixture.rows(shard_name .. ".db", "SELECT id FROM users ORDER BY id")) do
      list[#list + 1] = row.id
    end
    return list
  end

  it("is kept when its function returns, and passes on what that returns", function()
    local results = table.pack(db:transaction(key, function(tx)
      tx:run(INSERT, { key, 1 })
      assert.equal(1, tx:first("SELECT n FROM users WHERE id = ?", { key }).n)
      return 1, nil, "three", nil
    end))
    assert.same({ 1, nil, "three", nil, n = 4 }, results)
    assert.same({ key }, ids())
  end)

  it("is rolled back when its function raises, and passes the error on", function()
    local e = setmetatable({}, { __tostring = function() return "mine" end })
    local ok, raised = pcall(db.transaction, db, key, function(tx)
      tx:run(INSERT, { key, 1 })
      error(e)
    end)
    assert.is_false(ok)
    assert.equal(e, raised)
    assert.same({}, ids())
    db:insert(key, INSERT, { key, 2 })
    assert.same({ key }, ids())
  end)

  it("is rolled back when one of its statements fails", function()
    fixture.raises("CONSTRAINT", nil, db.transaction, db, key, function(tx)
      tx:run(INSERT, { "x", 1 })
      tx:run(INSERT, { "x", 2 })
    end)
    assert.same({}, ids())
  end)

  it("goes on after a statement that failed and was caught", function()
    db:transaction(key, function(tx)
      tx:run(INSERT, { "x", 1 })
      fixture.raises("CONSTRAINT", nil, tx.run, tx, "INSERT INTO users VALUES ('y', 1), ('x', 1)")
      tx:run(INSERT, { "z", 1 })
    end)
    assert.same({ "x", "z" }, ids())
  end)

  it("has run, first, all and each with their results", function()
    db:transaction(key, function(tx)
      assert.equal(1, tx:run(INSERT, { "x", 1 }).meta.changes)
      assert.equal(shard_name, tx:run(INSERT, { "y", 2 }).meta.served_by)
      assert.same({ n = 1 }, tx:first "SELECT n FROM users ORDER BY n")
      assert.same({ { n = 1 }, { n = 2 } }, tx:all "SELECT n FROM users ORDER BY n")
      local total = 0
      for row in tx:each "SELECT n FROM users" do total = total + row.n end
      assert.equal(3, total)
      assert.same({ n = 2 }, tx:first("UPDATE users SET n = n + 1 WHERE id = 'x' RETURNING n"))
    end)
  end)

  it("begins IMMEDIATE: another connection can not write meanwhile", function()
    local other = fixture.open(fixture.config { shards = { a = { busy_timeout = 0 } } })
    db:transaction(key, function()
      local e = fixture.raises("BUSY", nil, other.insert, other, key, INSERT, { key, 1 })
      assert.is_true(e.retryable)
      fixture.raises("BUSY", nil, other.transaction, other, key, function() assert(false, "it began all the same") end)
      assert.is_nil(other:first(key, "SELECT n FROM users"))
    end)
    other:insert(key, INSERT, { key, 1 })
  end)

  it("runs its function once, also when it can not be kept", function()
    local runs = 0
    db:shard(shard_name):exec [[PRAGMA foreign_keys = ON; CREATE TABLE notes (id TEXT PRIMARY KEY,
      user TEXT REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)]]
    fixture.raises("CONSTRAINT", "FOREIGN KEY", db.transaction, db, key, function(tx)
      runs = runs + 1
      tx:run "INSERT INTO notes VALUES ('n', 'nobody')"
    end)
    assert.equal(1, runs)
    assert.same({}, fixture.rows(shard_name .. ".db", "SELECT * FROM notes"))
    db:insert(key, INSERT, { key, 1 })
  end)

  it("keeps its shard to itself: other calls there are BUSY, elsewhere they run", function()
    local shard = db:shard(shard_name)
    db:transaction(key, function(tx)
      for _, call in ipairs {
        function() db:first(key, "SELECT 1") end,
        function() db:insert(key, INSERT, { key, 1 }) end,
        function() db:each(key, "SELECT 1") end,
        function() db:batch(key, { { "SELECT 1" } }) end,
        function() db:transaction(key, function() end) end,
        function() shard:run "SELECT 1" end,
        function() shard:exec "SELECT 1" end,
        function() shard:transaction(function() end) end,
        function() db:run_all_shards "SELECT 1" end,
      } do
        local e = fixture.raises("BUSY", "transaction", call)
        assert.equal(true, e.retryable)
      end
      db:insert(other_key, INSERT, { other_key, 2 })
      assert.equal(2, db:first(other_key, "SELECT n FROM users WHERE id = ?", { other_key }).n)
      assert.equal(shard_name, (db:locate(key)))
      tx:run(INSERT, { key, 1 })
    end)
    assert.equal(2, db:count "users")
  end)

  it("may stand beside one on another shard", function()
    db:transaction(key, function(tx)
      tx:run(INSERT, { key, 1 })
      db:transaction(other_key, function(inner) inner:run(INSERT, { other_key, 2 }) end)
    end)
    assert.equal(2, db:count "users")
  end)

  it("leaves other calls to other shards alone when the schema has changed", function()
    db:shard(shard_name):exec "CREATE TABLE more (id TEXT PRIMARY KEY)"
    db:transaction(key, function(tx)
      assert.equal(5, db:first(other_key, "SELECT 5 AS five FROM (SELECT count(*) FROM users)").five)
      tx:run "CREATE TABLE even_more (id TEXT PRIMARY KEY)"
      assert.equal(6, db:first(other_key, "SELECT 6 AS six FROM (SELECT count(*) FROM users)").six)
    end)
  end)

  it("is over when its function has ended", function()
    local kept
    db:transaction(key, function(tx) kept = tx end)
    for _, method in ipairs { "run", "first", "all", "each" } do
      fixture.raises("CLOSED", "ended", function() kept[method](kept, "SELECT 1") end)
    end
    fixture.raises("CLOSED", "ended", function() kept:transaction(function() end) end)
    pcall(db.transaction, db, key, function(tx)
      kept = tx
      error "x"
    end)
    fixture.raises("CLOSED", "ended", function() kept:run "SELECT 1" end)
    db:transaction(key, function() fixture.raises("CLOSED", "ended", function() kept:run "SELECT 1" end) end)
  end)

  it("allows one statement a call, and none of its own kind", function()
    db:transaction(key, function(tx)
      for _, sql in ipairs { "COMMIT", "ROLLBACK", "BEGIN", "SAVEPOINT s", "RELEASE collegedb_0", "ATTACH 'x' AS y",
        "SELECT 1; COMMIT", "" } do
        fixture.raises("USAGE", nil, tx.run, tx, sql)
      end
      tx:run(INSERT, { "x", 1 })
    end)
    assert.same({ "x" }, ids())
  end)

  it("wants a function and a key", function()
    fixture.raises("USAGE", "function", db.transaction, db, key)
    fixture.raises("USAGE", "function", db.transaction, db, key, "SELECT 1")
    fixture.raises("USAGE", "key", db.transaction, db, nil, function() end)
    fixture.raises("USAGE", "db:key", db.transaction, db, 17, function() end)
    db:transaction(key, function(tx)
      fixture.raises("USAGE", "function", function() tx:transaction "x" end)
      fixture.raises("USAGE", "`:`", function() tx.run "SELECT 1" end)
    end)
  end)

  it("is rolled back when a coroutine that is in it is closed or collected", function()
    local function start()
      local routine = coroutine.create(function()
        db:transaction(key, function(tx)
          tx:run(INSERT, { "x", 1 })
          coroutine.yield()
        end)
      end)
      assert(coroutine.resume(routine))
      return routine
    end
    start()
    collectgarbage()
    collectgarbage()
    assert.is_nil(db:first(key, "SELECT n FROM users"))
    local routine = start()
    assert(coroutine.resume(routine))
    assert.equal(1, db:first(key, "SELECT n FROM users").n)
  end)

  it("does not keep what follows after SQLite ended it by itself", function()
    for _, sql in ipairs {
      "INSERT OR ROLLBACK INTO users VALUES ('x', 2)",
      "INSERT INTO users SELECT 'y', 1 UNION ALL SELECT 'bad', 1",
    } do
      db:shard(shard_name):exec [[CREATE TRIGGER IF NOT EXISTS bad BEFORE INSERT ON users WHEN NEW.id = 'bad'
        BEGIN SELECT RAISE(ROLLBACK, 'no'); END]]
      local ok, e = pcall(db.transaction, db, key, function(tx)
        tx:run(INSERT, { "x", 1 })
        assert.is_false(pcall(tx.run, tx, sql))
        tx:run(INSERT, { "z", 1 })
      end)
      assert.is_false(ok)
      assert.is_true(collegedb.is_error(e), tostring(e))
      assert.same({}, ids())
      assert.is_nil(db:first(key, "SELECT * FROM users"))
    end
  end)

  describe("inside a transaction", function()
    it("is a savepoint: kept with the outer one", function()
      db:transaction(key, function(tx)
        tx:run(INSERT, { "x", 1 })
        assert.equal("inner", tx:transaction(function(inner)
          inner:run(INSERT, { "y", 1 })
          return "inner"
        end))
      end)
      assert.same({ "x", "y" }, ids())
    end)

    it("is undone alone when it raises and that is caught", function()
      db:transaction(key, function(tx)
        tx:run(INSERT, { "x", 1 })
        assert.is_false(pcall(tx.transaction, tx, function(inner)
          inner:run(INSERT, { "y", 1 })
          error "no"
        end))
        assert.equal(1, #tx:all "SELECT * FROM users")
        tx:run(INSERT, { "z", 1 })
      end)
      assert.same({ "x", "z" }, ids())
    end)

    it("is undone with the outer one", function()
      pcall(db.transaction, db, key, function(tx)
        tx:transaction(function(inner) inner:run(INSERT, { "y", 1 }) end)
        error "no"
      end)
      assert.same({}, ids())
    end)

    it("may be nested deeply, each level with its own fate", function()
      local function nest(tx, level)
        tx:run(INSERT, { ("l%02d"):format(level), level })
        if level == 20 then error "deep enough" end
        local ok = pcall(tx.transaction, tx, function(inner) nest(inner, level + 1) end)
        if level > 10 then assert(ok) end
      end
      db:transaction(key, function(tx) nest(tx, 1) end)
      assert.equal(10, #ids())
    end)

    it("makes the outer one wait", function()
      db:transaction(key, function(tx)
        local kept
        tx:transaction(function(inner)
          kept = inner
          fixture.raises("BUSY", "inner", function() tx:run "SELECT 1" end)
          fixture.raises("BUSY", "inner", function() tx:transaction(function() end) end)
        end)
        fixture.raises("CLOSED", "ended", function() kept:run "SELECT 1" end)
        tx:run(INSERT, { "x", 1 })
      end)
      assert.same({ "x" }, ids())
    end)
  end)

  it("on a shard handle works alike", function()
    local shard = db:shard(shard_name)
    assert.equal(7, shard:transaction(function(tx)
      tx:run(INSERT, { "x", 1 })
      return 7
    end))
    pcall(shard.transaction, shard, function(tx)
      tx:run(INSERT, { "y", 1 })
      error "no"
    end)
    assert.same({ "x" }, ids())
  end)
end)

describe("a batch", function()
  local db, key, shard_name

  before_each(function()
    fixture.start()
    db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
      CREATE TABLE posts (id INTEGER PRIMARY KEY, v)]]
    key = "k"
    shard_name = db:locate(key)
  end)
  after_each(fixture.stop)

  it("returns a result for each statement", function()
    local results = db:batch(key, {
      { "INSERT INTO users VALUES (?, ?)", { key, 1 } },
      { "SELECT * FROM users" },
      { "UPDATE users SET n = :n", { n = 5 } },
      { "SELECT n FROM users WHERE id = ?", { key } },
    })
    assert.equal(4, #results)
    assert.equal(1, results[1].meta.changes)
    assert.same({ { id = key, n = 1 } }, results[2].results)
    assert.equal(1, results[3].meta.changes)
    assert.same({ { n = 5 } }, results[4].results)
    assert.equal(shard_name, results[4].meta.served_by)
  end)

  it("is all or nothing", function()
    local e = fixture.raises("CONSTRAINT", nil, db.batch, db, key, {
      { "INSERT INTO users VALUES ('x', 1)" },
      { "INSERT INTO users VALUES ('x', 2)" },
    })
    assert.equal(shard_name, e.shard)
    assert.equal(0, db:count "users")
    fixture.raises("USAGE", nil, db.batch, db, key, { { "INSERT INTO users VALUES ('x', 1)" }, { "SELECT ?" } })
    fixture.raises("USAGE", nil, db.batch, db, key, { { "INSERT INTO users VALUES ('x', 1)" }, { "COMMIT" } })
    assert.equal(0, db:count "users")
  end)

  it("takes an integer key, of its first statement's table", function()
    db:batch(17, { { "INSERT INTO posts VALUES (17, 'x')" }, { "UPDATE posts SET v = 'y' WHERE id = 17" } })
    assert.equal("y", db:first(17, "SELECT v FROM posts WHERE id = 17").v)
    assert.equal(db:locate(17, "posts"), fixture.holders({ "a", "b" }, "posts", "id", 17)[1])
  end)

  it("may be empty", function() assert.same({}, db:batch(key, {})) end)

  it("on a shard handle works alike", function()
    local results = db:shard("b"):batch { { "INSERT INTO users VALUES ('x', 1)" }, { "SELECT n FROM users" } }
    assert.same({ { n = 1 } }, results[2].results)
    fixture.raises("CONSTRAINT", nil, function()
      db:shard("b"):batch { { "INSERT INTO users VALUES ('y', 1)" }, { "INSERT INTO users VALUES ('x', 1)" } }
    end)
    assert.equal(1, db:count "users")
  end)

  it("refuses what is no array of statements", function()
    for _, statements in ipairs { 5, "SELECT 1", { "SELECT 1" }, { { "SELECT 1" }, 5 }, { {} }, { { 5 } },
      { sql = "SELECT 1" } } do
      fixture.raises("USAGE", nil, db.batch, db, key, statements)
    end
    fixture.raises("USAGE", nil, db.batch, db, key)
    fixture.raises("USAGE", "key", db.batch, db, nil, { { "SELECT 1" } })
  end)

  it("that names no key's table wants db:key for an integer", function()
    fixture.raises("USAGE", "db:key", db.batch, db, 17, { { "SELECT 1" } })
    assert.equal(1, db:batch(db:key("posts", 17), { { "SELECT 1 AS n" } })[1].results[1].n)
  end)
end)
