-- The commands move, verify and doctor, run as a user runs them, on real files.

local process = require "spec.support.process"

describe("the command", function()
  local folder

  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local function collegedb(...) return process.run({ process.collegedb, ... }, { folder = folder }) end

  local function sqlite(name, sql)
    local result = process.run({ "sqlite3", "-bail", name, sql }, { folder = folder })
    assert.equal("", result.stderr)
    return result.stdout
  end

  local function exits(status, ...)
    local result = collegedb(...)
    assert.equal("", result.stderr)
    assert.equal(status, result.status, result.stdout)
    return result.stdout
  end

  local function failed(status, pattern, ...)
    local result = collegedb(...)
    assert.equal(status, result.status)
    assert.equal("", result.stdout)
    assert.matches(pattern, result.stderr)
  end

  local SCHEMA <const> = [[CREATE TABLE users (email TEXT PRIMARY KEY);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT REFERENCES users ON DELETE CASCADE);
    CREATE INDEX orders_owner ON orders (owner);]]

  -- Two shards, and in east ada with two orders and bea, taken over.
  local function make(rows)
    process.write(folder .. "/collegedb.lua", [[return {
      kv = "directory.db", shards = { { name = "east", "east.db" }, { name = "west", "west.db" } },
    }]])
    sqlite("east.db", SCHEMA .. "INSERT INTO users VALUES ('ada@x'), ('bea@x');"
      .. "INSERT INTO orders VALUES (1, 'ada@x'), (2, 'ada@x');" .. (rows or ""))
    sqlite("west.db", SCHEMA)
    exits(0, "integrate")
  end

  local function count(name, table_name)
    return tonumber(sqlite(name .. ".db", "SELECT count(*) FROM " .. table_name))
  end

  -- A move that died before its commit.
  local function leave_a_move()
    process.write(folder .. "/die.lua", [[
      local collegedb = require "collegedb"
      local db = collegedb.open(dofile "collegedb.lua")
      require("collegedb.workflows.move").run(require("collegedb.core").state(db), {
        keyspace = "", keys = { "ada@x" }, source = 1, target = 2, on_step = function(step)
          if step == "copy" then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
        end })]])
    assert.equal(137, collegedb("./die.lua").status)
  end

  describe("move", function()
    it("takes a key with its group to another shard", function()
      make()
      assert.equal("ada@x: 3 rows would be moved from east to west\n", exits(0, "move", "ada@x", "west", "--dry-run"))
      assert.equal(2, count("east", "users"))
      assert.equal("ada@x: 3 rows moved from east to west\n", exits(0, "move", "ada@x", "west"))
      assert.same({ 1, 1, 2 }, { count("east", "users"), count("west", "users"), count("west", "orders") })
      assert.equal("ada@x is on west already\n", exits(0, "move", "ada@x", "west"))
      assert.equal("2: 3 rows moved from west to east\n", exits(0, "move", "2", "east", "--table", "orders"))
      assert.equal('{"from":"east","key":"1","moved":true,"rows":3,"to":"west"}\n',
        exits(0, "move", "1", "west", "--json"))
      assert.matches('"dry_run":true,"from":"west"', exits(0, "move", "1", "east", "--json", "--dry-run"))
    end)

    it("refuses what it can not do, and moves nothing", function()
      make "CREATE TRIGGER mine AFTER DELETE ON orders BEGIN SELECT 1; END"
      failed(1, "MAPPING_NOT_FOUND", "move", "nobody", "west")
      failed(1, "SHARD_NOT_FOUND: no shard is named north; there are east, west", "move", "ada@x", "north")
      failed(1, "trigger mine", "move", "ada@x", "west")
      failed(2, "Usage", "move", "ada@x")
      failed(2, "%-%-keyspace needs %-%-table", "move", "ada@x", "west", "--keyspace", "k")
      assert.equal(2, count("east", "users"))
    end)
  end)

  describe("verify", function()
    it("says that all is well", function()
      make()
      exits(0, "move", "ada@x", "west")
      assert.matches("^2 keys, %d entries, 0 of them without rows\nall is well\n$", exits(0, "verify"))
    end)

    it("tells findings by exit status 3, and repairs what has one right answer", function()
      make()
      exits(0, "move", "ada@x", "west")
      sqlite("directory.db", "DELETE FROM _collegedb_entries")
      sqlite("west.db", "INSERT INTO orders VALUES (9, 'nobody')")
      local printed = exits(3, "verify", "--rate", "100000")
      assert.matches("orphaned: 1\n", printed)
      assert.matches("  orphaned in orders %(west%): nobody follows a row that is not there; insert the row of users",
        printed)
      assert.matches('"orphaned":1', exits(3, "verify", "--json"))
      assert.equal(printed, exits(3, "verify", "--repair", "--dry-run"))
      sqlite("west.db", "DELETE FROM orders WHERE id = 9")
      local home = exits(0, "locate", "bea@x"):match "%w+"
      sqlite(home == "east" and "west.db" or "east.db", "INSERT OR IGNORE INTO users VALUES ('bea@x')")
      exits(3, "verify", "--repair")
      sqlite(home == "east" and "west.db" or "east.db", "DELETE FROM users WHERE email = 'bea@x'")
      sqlite(home .. ".db", "INSERT OR IGNORE INTO users VALUES ('bea@x')")
      exits(0, "verify", "--repair")
      assert.matches("all is well", exits(0, "verify"))
    end)

    it("refuses a rate that is none", function()
      make()
      failed(2, "rate", "verify", "--rate", "fast")
      failed(2, "USAGE", "verify", "--rate", "0")
    end)
  end)

  describe("doctor", function()
    it("finds a set-up in order", function()
      make()
      local printed = exits(0, "doctor")
      assert.matches("ok    directory: directory.db: %d+ bytes, journal mode wal, can be written\n", printed)
      assert.matches("ok    east: east.db: %d+ bytes, journal mode delete, can be written\n", printed)
      assert.matches("to mend: PRAGMA journal_mode = WAL", printed)
      assert.matches("foreign keys are not enforced", printed)
      assert.matches("all is well\n$", printed)
      assert.matches('"diagnoses":%[{"about":"directory","state":"ok"', exits(0, "doctor", "--json"))
    end)

    it("makes no file, and says which are not there", function()
      make()
      os.remove(folder .. "/west.db")
      os.remove(folder .. "/directory.db")
      local printed = exits(3, "doctor")
      assert.matches("fault directory: there is no file directory.db\n      to mend: put it back", printed)
      assert.matches("fault west: there is no file west.db\n", printed)
      assert.is_nil(process.read(folder .. "/west.db"))
      assert.is_nil(process.read(folder .. "/directory.db"))
    end)

    it("says why a database does not open, and what is no database", function()
      make()
      process.write(folder .. "/west.db", ("no database "):rep(500))
      local printed = exits(3, "doctor")
      assert.matches("fault west: [^\n]*file is not a database\n +to mend: put the file back from a backup", printed)
      assert.matches("the database does not open", printed)
      failed(1, "no config file", "doctor", "--config", "nope.lua")
    end)

    it("finds files that are held, missing indexes, and what awaits its integration", function()
      make()
      exits(0, "rollback", "east")
      sqlite("east.db", "DROP INDEX orders_owner")
      local printed = exits(3, "doctor")
      assert.matches("fault east: its rows are not taken over yet[^\n]+\n +to mend: collegedb integrate east\n",
        printed)
      assert.matches('fault east: column owner of table orders has no index[^\n]+\n +to mend: CREATE INDEX '
        .. '"orders_owner" ON "orders" %("owner"%)', printed)
      sqlite("east.db", "CREATE INDEX orders_owner ON orders (owner)")
      assert.equal(printed:gsub("\n.*", ""), (exits(3, "doctor", "--repair", "--dry-run"):gsub("\n.*", "")))
      assert.matches("repaired: east was taken over: 4 keys", exits(0, "doctor", "--repair"))
      exits(0, "doctor")
    end)

    it("ends a dead program's move, and leaves one alone that may live", function()
      make()
      leave_a_move()
      sqlite("directory.db", "UPDATE _collegedb_moves SET lock = NULL") -- then only its lease tells
      assert.matches("fault directory: move %d+ from [^\n]*, with 1 key: no program has the directory open; its lease "
        .. "ends in %d+ s", exits(3, "doctor"))
      local function set_peer(name, peer)
        sqlite(name .. ".db", ("UPDATE _collegedb_own SET peer = '%s'; UPDATE _collegedb_open SET peer = '%s'"):format(
          peer, peer))
      end
      for _, name in ipairs { "east", "west" } do set_peer(name, "north") end
      sqlite("directory.db", "UPDATE _collegedb_moves SET lease = 0")
      local printed = exits(3, "doctor")
      assert.matches("fault directory: move %d+ from [^\n]*, with 1 key: it needs shard north, which the config does "
        .. "not have\n +to mend: name that shard in the config", printed)
      set_peer("east", "west")
      set_peer("west", "east")
      exits(0, "doctor", "--repair")
      assert.matches("all is well", exits(0, "verify"))
    end)
  end)

  it("names are listed by help", function()
    local listed = exits(0, "help")
    for _, name in ipairs { "move", "verify", "doctor" } do assert.matches("\n" .. name .. " +%u", listed) end
  end)
end)
