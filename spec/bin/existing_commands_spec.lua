-- The commands validate and rollback, run as a user runs them, on real files.

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

  local function files()
    local pipe <close> = assert(io.popen("ls " .. process.quote(folder)))
    return (pipe:read "a":gsub("\n", " "))
  end

  local function make(extra)
    process.write(folder .. "/collegedb.lua", [[return {
      kv = "directory.db", auto_migrate = false,
      shards = { { name = "east", "east.db" }, { name = "west", "west.db" } },
    }]])
    local schema = 'CREATE TABLE users (email TEXT PRIMARY KEY); CREATE TABLE "my posts" (id INTEGER PRIMARY KEY);'
    sqlite("east.db", schema .. "INSERT INTO users VALUES ('ada@x'), ('bea@x');"
      .. 'INSERT INTO "my posts" VALUES (1), (2)')
    sqlite("west.db", schema .. "INSERT INTO users VALUES ('cleo@x');" .. (extra or ""))
  end

  describe("integrate", function()
    it("that is interrupted ends with 130, says how to go on, and does", function()
      make "INSERT INTO users VALUES ('ada@x')"
      -- The signal comes while the rules are asked about a conflict.
      process.write(folder .. "/collegedb.lua", [[
        local asked = 0
        return {
          kv = "directory.db", shards = { { name = "east", "east.db" }, { name = "west", "west.db" } },
          rules = { conflict = function()
            if not os.getenv "GO_ON" then
              io.popen("kill -INT " .. io.open("/proc/self/stat"):read "n"):close()
              for _ = 1, 1e6 do asked = asked + 1 end
            end
            return "keep"
          end },
        }]])
      exits(0, "integrate", "east")
      local result = collegedb("integrate", "west", "--tables", "users")
      assert.equal(130, result.status)
      assert.matches("collegedb integrate west %-%-resume %-%-tables users\n", result.stderr)
      process.write(folder .. "/collegedb.lua", (process.read(folder .. "/collegedb.lua"):gsub('not os.getenv "GO_ON"',
        "false")))
      local printed = exits(0, "integrate", "west", "--resume", "--tables", "users")
      assert.matches("west: 1 tables, 2 records, 1 mappings created, 1 conflicts\n", printed)
      assert.matches("conflict: ada@x of users is on west and on east, which stands\n", printed)
    end)

    it("--resume just begins where nothing was begun", function()
      make()
      assert.matches("east: 2 tables, 4 records", exits(0, "integrate", "--resume"))
    end)
  end)

  describe("validate", function()
    it("finds nothing to say, and makes no file", function()
      make()
      local before = process.read(folder .. "/east.db") .. process.read(folder .. "/west.db")
      local printed = exits(0, "validate")
      assert.matches("east: 2 tables with a key, 4 records, 0 conflicts\n", printed)
      assert.matches("  my posts: key id, 2 records\n", printed)
      assert.matches("west: 2 tables", printed)
      assert.is_nil(exits(0, "validate", "west"):find "east")
      assert.equal("collegedb.lua east.db west.db ", files())
      assert.equal(before, process.read(folder .. "/east.db") .. process.read(folder .. "/west.db"))
    end)

    it("tells findings by exit status 3", function()
      make [[INSERT INTO users VALUES ('ada@x'); CREATE TABLE pairs (a, b);
        CREATE TABLE loose (id TEXT); INSERT INTO loose VALUES (NULL)]]
      local printed = exits(3, "validate")
      assert.matches("east: 2 tables with a key, 4 records, 0 conflicts\n", printed)
      assert.matches("conflict: ada@x of users is on west and on east\n", printed)
      assert.matches("issue: pairs was left out: it has no primary key", printed)
      assert.matches("  loose: key id, 1 records\n    issue: 1 rows have no usable key[^\n]+\n", printed)
      assert.matches("    issue: the key column id has no index", printed)
      exits(0, "validate", "east")
      assert.equal("collegedb.lua east.db west.db ", files())
    end)

    it("writes JSON", function()
      make "INSERT INTO users VALUES ('ada@x')"
      local printed = exits(3, "validate", "--json")
      assert.matches('"conflict_count":1,"conflicts":%[{"key":"ada@x","other_shard":"east"', printed)
      assert.matches('"is_valid":true', printed)
      assert.matches('"primary_key_column":"email"', printed)
      assert.matches('"shard":"west"', printed)
    end)

    it("looks at a directory that is there", function()
      make()
      exits(0, "integrate")
      sqlite("west.db", "INSERT INTO users VALUES ('ada@x')")
      assert.matches("west: 2 tables with a key, 2 records, 1 conflicts", exits(3, "validate", "west"))
    end)

    it("refuses an unknown shard, and a missing config", function()
      make()
      failed(1, "SHARD_NOT_FOUND", "validate", "east", "nope")
      failed(1, "no config file", "validate", "--config", "nope.lua")
      failed(2, "Usage", "validate", "--nope")
    end)
  end)

  it("validate shows what is wrong in colours on a terminal, unless NO_COLOR says no", function()
    make "INSERT INTO users VALUES ('ada@x')"
    local function shown(no_color)
      local line = process.quote(process.collegedb) .. " validate west"
      return process.run({ "script", "-qec", line, "/dev/null" },
        { folder = folder, env = { TERM = "xterm", NO_COLOR = no_color } }).stdout
    end
    assert.matches("\n  \27%[31mconflict:\27%[0m ada@x of users is on west and on east", shown(false))
    assert.matches("\n  conflict: ada@x of users", shown "1")
  end)

  describe("rollback", function()
    local function entries() return tonumber(sqlite("directory.db", "SELECT count(*) FROM _collegedb_entries")) end

    it("takes integration back, and rows are found still", function()
      make()
      local before = process.read(folder .. "/east.db")
      exits(0, "integrate")
      local count = entries()
      assert(count > 0)
      assert.matches("east: %d entries would be removed\nwest: %d entries would be removed\n",
        exits(0, "rollback", "east", "west", "--dry-run"))
      assert.equal(count, entries())
      assert.matches("^east: %d entries removed\nwest: %d entries removed\n$", exits(0, "rollback", "east", "west"))
      assert.equal(0, entries())
      assert.matches("ada@x", exits(0, "query", "ada@x", "SELECT email FROM users WHERE email = 'ada@x'"))
      assert.equal(before, process.read(folder .. "/east.db"))
    end)

    it("writes JSON", function()
      make()
      exits(0, "integrate")
      assert.matches('^%[{"dry_run":true,"entries_removed":%d,"shard_name":"east","success":true}%]\n$',
        exits(0, "rollback", "east", "--dry-run", "--json"))
      assert.matches('^%[{"entries_removed":%d,"shard_name":"east","success":true}%]\n$',
        exits(0, "rollback", "east", "--json"))
    end)

    it("refuses wrong names before it changes anything", function()
      make()
      exits(0, "integrate")
      local count = entries()
      failed(1, "SHARD_NOT_FOUND", "rollback", "east", "nope")
      failed(2, "Usage", "rollback")
      assert.equal(count, entries())
    end)
  end)

  it("names are listed by help", function()
    local listed = exits(0, "help")
    assert.matches("\nvalidate +%u", listed)
    assert.matches("\nrollback +%u", listed)
  end)
end)
