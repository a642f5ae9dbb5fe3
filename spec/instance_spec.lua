-- Opening and closing a database, the default instance, and what bad files get.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

local USERS = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT)"

describe("a database", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("keeps its rows from one opening to the next", function()
    local db = fixture.database(USERS)
    for i = 1, 20 do db:insert("u" .. i, "INSERT INTO users VALUES (?, ?)", { "u" .. i, "n" .. i }) end
    db:close()
    db = fixture.open(fixture.config())
    for i = 1, 20 do
      assert.equal("n" .. i, db:first("u" .. i, "SELECT name FROM users WHERE id = ?", { "u" .. i }).name)
    end
  end)

  it("closes with its block", function()
    local outside
    do
      local db <close> = collegedb.open(fixture.config())
      outside = db
    end
    fixture.raises("CLOSED", nil, function() outside:first("k", "SELECT 1") end)
  end)

  it("closes twice", function()
    local db = fixture.database(USERS)
    db:close()
    db:close()
    assert.equal("collegedb (closed)", tostring(db))
  end)

  it("says what it is", function()
    assert.matches("2 shards", tostring(fixture.database()))
  end)

  it("refuses every call after close", function()
    local db = fixture.database(USERS)
    local shard = db:shard "a"
    db:close()
    local calls = {
      insert = { "k", "SELECT 1" }, run = { "k", "SELECT 1" }, first = { "k", "SELECT 1" }, all = { "k", "SELECT 1" },
      each = { "k", "SELECT 1" }, select_by_primary_key = { "k", "SELECT 1" },
      update_by_primary_key = { "k", "SELECT 1" }, delete_by_primary_key = { "k", "SELECT 1" },
      batch = { "k", { { "SELECT 1" } } }, transaction = { "k", function() end }, shard = { "a" },
      run_all_shards = { "SELECT 1" }, count = { "users" }, create_schema = { "a", USERS }, ensure_schema = { USERS },
      locate = { "k" }, key = { "users", "k" }, list_known_shards = {}, get_shard_stats = {}, flush_cache = {},
      integrate = { "a" }, rollback = { "a" },
    }
    for name, arguments in pairs(calls) do
      fixture.raises("CLOSED", nil, function() db[name](db, table.unpack(arguments)) end)
    end
    for name, arguments in pairs { run = { "SELECT 1" }, first = { "SELECT 1" }, all = { "SELECT 1" },
      each = { "SELECT 1" }, exec = { USERS }, size = {}, batch = { { { "SELECT 1" } } },
      transaction = { function() end } } do
      fixture.raises("CLOSED", nil, function() shard[name](shard, table.unpack(arguments)) end)
    end
  end)

  it("that is collected without close leaves no file open", function()
    local db = collegedb.open(fixture.config())
    db:ensure_schema(USERS)
    local iterator = db:each("k", "SELECT * FROM users")
    assert.is_function(iterator)
    db, iterator = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)

  it("ends a loop over it with CLOSED when it is closed inside", function()
    local db = fixture.database(USERS)
    for i = 1, 3 do db:shard("a"):run("INSERT INTO users VALUES (?, '')", { "u" .. i }) end
    local seen = 0
    fixture.raises("CLOSED", "loop", function()
      for _ in db:shard("a"):each "SELECT * FROM users" do
        seen = seen + 1
        db:close()
      end
    end)
    assert.equal(1, seen)
  end)

  it("rolls a transaction back when it is closed inside", function()
    local db = fixture.database(USERS)
    local shard = db:locate "k"
    fixture.raises("CLOSED", nil, function()
      db:transaction("k", function(tx)
        tx:run "INSERT INTO users VALUES ('k', '')"
        db:close()
      end)
    end)
    assert.same({}, fixture.rows(shard .. ".db", "SELECT * FROM users"))
  end)

  it("may be open beside others, on other files and on the same", function()
    local one = fixture.database(USERS)
    local other = fixture.open(fixture.config { kv = fixture.path "directory.db" })
    local third = fixture.open { kv = "memory:", shards = { c = fixture.path "c.db" } }
    third:ensure_schema(USERS)
    for i = 1, 10 do
      local key = "u" .. i
      assert.equal(one:locate(key), other:locate(key))
      one:insert(key, "INSERT INTO users VALUES (?, 'one')", { key })
      assert.equal("one", other:first(key, "SELECT name FROM users WHERE id = ?", { key }).name)
      assert.is_nil(third:first(key, "SELECT name FROM users WHERE id = ?", { key }))
    end
    one:close()
    assert.equal(10, other:count "users")
  end)

  it("of memory leaves no file", function()
    local db = fixture.open { kv = "memory:", shards = { a = ":memory:", b = ":memory:" } }
    db:ensure_schema(USERS)
    for i = 1, 20 do db:insert("u" .. i, "INSERT INTO users VALUES (?, '')", { "u" .. i }) end
    local _, by_shard = db:count "users"
    assert.equal(20, by_shard.a + by_shard.b)
    assert.is_true(by_shard.a > 0 and by_shard.b > 0)
    assert.same({}, fixture.files())
  end)

  it("makes new files in WAL mode, or in the mode of its config", function()
    local db = fixture.database(USERS, { shards = { b = { journal_mode = "delete" } } })
    assert.equal("wal", db:shard("a"):first("PRAGMA journal_mode").journal_mode)
    assert.equal("delete", db:shard("b"):first("PRAGMA journal_mode").journal_mode)
  end)

  it("leaves the journal mode of a file as it was", function()
    fixture.sqlite("a.db", USERS)
    local db = fixture.database()
    assert.equal("delete", db:shard("a"):first("PRAGMA journal_mode").journal_mode)
  end)

  it("gives the settings of its config to the connection", function()
    local db = fixture.database(nil, { shards = { a = { busy_timeout = 0.25, mmap_size = 65536, cache_size = -500 } } })
    local shard = db:shard "a"
    local core = require "collegedb.core"
    local other = core.sqlite(fixture.path "a.db", {})
    other:exec "CREATE TABLE t (x)"
    local start = core.now()
    other:transaction(function() fixture.raises("BUSY", nil, shard.run, shard, "INSERT INTO t VALUES (1)") end)
    local waited = core.now() - start
    core.close(other)
    assert.is_true(waited >= 240 and waited < 2000, "waited " .. waited .. " ms")
    assert.equal(65536, shard:first("PRAGMA mmap_size").mmap_size)
    assert.equal(-500, shard:first("PRAGMA cache_size").cache_size)
    assert.equal(0, db:shard("b"):first("PRAGMA mmap_size").mmap_size)
    assert.equal(2, db:shard("b"):first("PRAGMA synchronous").synchronous)
  end)
end)

describe("the default instance", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- The module keeps its default for good, so each test asks a module of its own.
  local function fresh()
    local kept = package.loaded.collegedb
    package.loaded.collegedb = nil
    local module = require "collegedb"
    package.loaded.collegedb = kept
    return module
  end

  it("is what initialize opens", function()
    local module = fresh()
    local db = fixture.track(module.initialize(fixture.config()))
    module.ensure_schema(USERS)
    module.insert("u1", "INSERT INTO users VALUES (?, ?)", { "u1", "Ann" })
    assert.equal("Ann", module.first("u1", "SELECT name FROM users WHERE id = 'u1'").name)
    assert.equal("Ann", db:first("u1", "SELECT name FROM users WHERE id = 'u1'").name)
    local names = {}
    for row in module.each("u1", "SELECT name FROM users") do names[#names + 1] = row.name end
    assert.same({ "Ann" }, names)
    assert.equal("Ann", module.transaction("u1", function(tx) return tx:first("SELECT name FROM users").name end))
    assert.equal(1, module.count "users")
    assert.equal("users:u1", tostring(module.key("users", "u1")))
    assert.same({ "a", "b" }, module.list_known_shards())
    module.close()
    fixture.raises("CLOSED", nil, function() module.first("u1", "SELECT 1") end)
  end)

  it("is missed by name before initialize", function()
    local module = fresh()
    local needed = "collegedb%.first needs collegedb%.initialize"
    fixture.raises("USAGE", needed, function() module.first("k", "SELECT 1") end)
  end)

  it("is replaced by another initialize", function()
    local module = fresh()
    local one = fixture.track(module.initialize { kv = "memory:", shards = { one = ":memory:" } })
    assert.same({ "one" }, module.list_known_shards())
    fixture.track(module.initialize { kv = "memory:", shards = { two = ":memory:" } })
    assert.same({ "two" }, module.list_known_shards())
    assert.same({ "one" }, one:list_known_shards())
  end)

  it("gives the module no other field", function()
    assert.is_nil(fresh().no_such_function)
  end)
end)

describe("opening", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("refuses a file that is no database, and does not touch it", function()
    fixture.write("b.db", ("This is a letter, not a database. "):rep(100))
    local before = fixture.bytes "b.db"
    local e = fixture.raises("CORRUPT", "b%.db", collegedb.open, fixture.config())
    assert.equal("b", e.shard)
    assert.equal(before, fixture.bytes "b.db")
  end)

  it("refuses a directory file that is no database", function()
    fixture.write("directory.db", ("no database "):rep(100))
    fixture.raises("CORRUPT", "directory%.db", collegedb.open, fixture.config())
  end)

  it("refuses a file shorter than a database's header", function()
    fixture.write("b.db", "short")
    fixture.raises("CORRUPT", "b%.db", collegedb.open, fixture.config())
    assert.equal("short", fixture.bytes "b.db")
  end)

  it("takes an empty file as a new database", function()
    fixture.write("b.db", "")
    assert.equal(0, fixture.database(USERS):count "users")
  end)

  it("refuses a truncated file, when it is opened or when the lost part is read", function()
    fixture.sqlite("b.db", USERS .. [[;
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
      INSERT INTO users SELECT 'u' || i, 'some name of a length that fills pages' FROM n]])
    local whole = fixture.bytes "b.db"
    fixture.write("b.db", whole:sub(1, #whole // 3))
    local e = fixture.raises("CORRUPT", "b%.db", function()
      local db <close> = collegedb.open(fixture.config())
      for i = 1, 2000 do db:first("u" .. i, "SELECT * FROM users WHERE id = ?", { "u" .. i }) end
    end)
    assert.equal("b", e.shard)
    assert.equal(whole:sub(1, #whole // 3), fixture.bytes "b.db")
  end)

  it("refuses a folder in the place of a file", function()
    fixture.raises("UNAVAILABLE", "is a directory", collegedb.open, fixture.config { shards = { b = { "/tmp" } } })
  end)

  it("names the folder that does not exist", function()
    local config = fixture.config { shards = { b = { fixture.path "no/b.db" } } }
    local e = fixture.raises("UNAVAILABLE", "no/b%.db.*the directory .*/no does not exist", collegedb.open, config)
    assert.equal("b", e.shard)
    fixture.raises("UNAVAILABLE", "does not exist", collegedb.open, fixture.config { kv = fixture.path "no/d.db" })
  end)

  it("waits no longer than busy_timeout for a locked file", function()
    fixture.sqlite("b.db", USERS)
    local locker = require("collegedb.core").sqlite(fixture.path "b.db", {})
    locker:exec "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE x (y); COMMIT"
    local started = os.time()
    local e = fixture.raises("BUSY", nil, collegedb.open, fixture.config { shards = { b = { busy_timeout = 0.1 } } })
    require("collegedb.core").close(locker)
    assert.equal("b", e.shard)
    assert.is_true(e.retryable)
    assert.is_true(os.time() - started <= 2)
  end)

  it("reads a read-only file, and refuses to write it", function()
    fixture.sqlite("b.db", USERS .. "; INSERT INTO users VALUES ('old', 'Ann')")
    local path = fixture.path "b.db"
    -- chmod stops everybody but root, chattr root as well.
    local is_root = process.run({ "id", "-u" }).stdout == "0\n"
    local lock, unlock = is_root and "chattr +i " or "chmod 444 ", is_root and "chattr -i " or "chmod 644 "
    if not os.execute(lock .. path .. " 2>/dev/null") then
      return pending "chattr +i is not allowed here, and root may write every other file"
    end
    local done, err = pcall(function()
      local db = fixture.database()
      assert.equal("Ann", db:first("old", "SELECT name FROM users WHERE id = 'old'").name)
      local e = fixture.raises("READONLY", "b%.db", db.run, db, "old", "UPDATE users SET name = 'Bea'")
      assert.equal("b", e.shard)
      fixture.raises("READONLY", nil, function()
        db:shard("b"):transaction(function(tx) tx:run "DELETE FROM users" end)
      end)
      assert.equal(1, db:count "users")
      db:close()
    end)
    os.execute(unlock .. path)
    if not done then error(err, 0) end
  end)

  it("reports a connection that may not write", function()
    local db = fixture.database(USERS)
    local shard = db:locate "k"
    db:shard(shard):exec "PRAGMA query_only = ON"
    local e = fixture.raises("READONLY", nil, db.insert, db, "k", "INSERT INTO users VALUES ('k', '')")
    assert.equal(shard, e.shard)
    assert.is_false(e.retryable)
    assert.is_nil(db:first("k", "SELECT * FROM users"))
  end)

  it("reports a full disk, and undoes what did not fit", function()
    local disk = fixture.path "disk"
    os.execute("mkdir " .. disk)
    if not os.execute("mount -t tmpfs -o size=512k tmpfs " .. disk .. " 2>/dev/null") then
      return pending "mounting a small tmpfs is not allowed here"
    end
    local done, err = pcall(function()
      local config = fixture.config { shards = { a = { disk .. "/a.db" }, b = { disk .. "/b.db" } } }
      local db <close> = collegedb.open(config)
      db:ensure_schema(USERS)
      local e
      for i = 1, 1000 do
        local row = { "u" .. i, ("x"):rep(5000) }
        local ok, raised = pcall(db.insert, db, "u" .. i, "INSERT INTO users VALUES (?, ?)", row)
        if not ok then
          e = raised
          break
        end
      end
      assert.is_true(collegedb.is_error(e, "FULL"), tostring(e))
      local count = db:count "users"
      fixture.raises("FULL", nil, function()
        db:transaction("u1", function(tx)
          for i = 1, 200 do tx:run("INSERT INTO users VALUES (?, ?)", { "t" .. i, ("x"):rep(5000) }) end
        end)
      end)
      assert.equal(count, db:count "users")
      for i = 1, 2 do -- not in a transaction any more
        fixture.raises("FULL", nil, db.insert, db, "v" .. i, "INSERT INTO users VALUES (?, ?)",
          { "v", ("x"):rep(400000) })
      end
    end)
    os.execute("umount " .. process.quote(disk))
    if not done then error(err, 0) end
  end)

  it("reports a shard that is full by its own bound", function()
    local db = fixture.database(USERS)
    local shard = db:locate "k"
    db:shard(shard):exec "PRAGMA max_page_count = 5"
    local e = fixture.raises("FULL", nil, db.insert, db, "k", "INSERT INTO users VALUES ('k', ?)", { ("x"):rep(50000) })
    assert.equal(shard, e.shard)
    assert.equal(0, db:count "users")
  end)

  it("leaves nothing open when it fails half way", function()
    fixture.sqlite("a.db", USERS)
    fixture.write("b.db", ("no database "):rep(100))
    for _ = 1, 5 do pcall(collegedb.open, fixture.config()) end
    local config = fixture.config { strategy = "hash", rules = { table = function() error "boom" end } }
    config.shards[2] = nil
    fixture.raises("SCRIPT", "boom", collegedb.open, config)
  end)

  it("works for several processes at once, on new files", function()
    local source = [[
      wait_for_go()
      local db <close> = collegedb.open { kv = folder .. "/directory.db",
        shards = { a = folder .. "/a.db", b = folder .. "/b.db" } }
      db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT)"
      for i = 1, 20 do
        local key = ("p%s-%d"):format(arg[1], i)
        db:insert(key, "INSERT INTO users VALUES (?, '')", { key })
      end]]
    for _, output in ipairs(fixture.together(4, source)) do assert.equal("", output) end
    local db = fixture.database()
    assert.equal(80, db:count "users")
    for p = 1, 4 do
      for i = 1, 20 do
        local key = ("p%d-%d"):format(p, i)
        assert.is_not_nil(db:first(key, "SELECT 1 AS yes FROM users WHERE id = ?", { key }))
      end
    end
  end)
end)
