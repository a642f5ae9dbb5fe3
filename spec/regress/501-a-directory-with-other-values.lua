-- A directory that was damaged, or written by others, stopped programs with errors of Lua and not of CollegeDB: its
-- record was read as if it could have nothing but what is written there.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

describe("regression 501:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- Takes NOT NULL away, as damage does.
  local function change(sql)
    process.run({ "sqlite3", fixture.path "directory.db" }, { input = ".dbconfig defensive off\n"
      .. "PRAGMA writable_schema = 1;\n"
      .. "UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name LIKE '_collegedb%';" })
    fixture.sqlite("directory.db", sql)
  end

  local function check(sql)
    fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)"):close()
    change(sql)
    fixture.raises("CORRUPT", "directory.db is damaged", collegedb.open, fixture.config())
    os.remove(fixture.path "directory.db")
  end

  it("the record", function()
    for _, sql in ipairs { "DELETE FROM _collegedb_counters WHERE name = 'epoch'",
      "UPDATE _collegedb_counters SET value = 'x' WHERE name = 'epoch'", "UPDATE _collegedb_homes SET weight = NULL",
      "UPDATE _collegedb_homes SET weight = 9e999", "UPDATE _collegedb_homes SET weight = -1.0",
      "UPDATE _collegedb_shards SET name = x'00' WHERE id = 1", "UPDATE _collegedb_shards SET drained = NULL",
      "INSERT INTO _collegedb_schema (sql) VALUES (NULL)",
      "INSERT INTO _collegedb_moves VALUES (1, '', 1, 2, 1, NULL, NULL)",
      "UPDATE _collegedb_shards SET settings = replace(hex(zeroblob(50000)), '0', '[') WHERE name = 'b'",
      "UPDATE _collegedb_shards SET settings = '{\"path\":5}'",
      "UPDATE _collegedb_shards SET settings = '{\"$blob\":5}'",
      "UPDATE _collegedb_shards SET settings = '{\"d1\":5}'" } do
      check(sql)
    end
  end)

  it("an entry without a shard", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", { strategy = "round_robin" })
    db:insert("k", "INSERT INTO users VALUES ('k')")
    db:close()
    change "UPDATE _collegedb_entries SET shard = NULL"
    db = fixture.open(fixture.config { strategy = "round_robin" })
    fixture.raises("CORRUPT", "_collegedb_entries", function() return db:mapper():get_shard_key_counts() end)
    fixture.raises("CORRUPT", "_collegedb_entries", db.verify, db)
  end)

  it("an entry with a number that no move has", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)")
    local from = db:insert("k", "INSERT INTO users VALUES ('k')").meta.served_by
    local other = from == "a" and "b" or "a"
    db:reassign_shard("k", other, "users")
    db:close()
    fixture.sqlite("directory.db", "UPDATE _collegedb_entries SET version = 1e308")
    db = fixture.open(fixture.config())
    fixture.raises("CORRUPT", "_collegedb_entries", db.reassign_shard, db, "k", from, "users")
    db:insert("other", "INSERT INTO users VALUES ('other')") -- nothing else is harmed
    db:reassign_shard("other", db:locate "other" == "a" and "b" or "a", "users")
  end)

  it("what a shard says of its keys", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", { auto_migrate = false })
    local from = db:insert("k", "INSERT INTO users VALUES ('k')").meta.served_by
    db:reassign_shard("k", from == "a" and "b" or "a", "users")
    db:close()
    for _, set in ipairs { "at = 'x'", "floor = 'x'", "move = 'x'" } do
      local bytes = fixture.bytes(from .. ".db")
      fixture.sqlite(from .. ".db", "UPDATE _collegedb_own SET " .. set)
      db = fixture.open(fixture.config { auto_migrate = false })
      fixture.raises("CORRUPT", "_collegedb_own", db.verify, db)
      db:close()
      fixture.write(from .. ".db", bytes)
    end
    -- A number that no move has must not become the highest of all.
    fixture.sqlite(from .. ".db", "UPDATE _collegedb_own SET move = 9223372036854775807")
    db = fixture.open(fixture.config { auto_migrate = false })
    assert.is_true(core.state(db).directory.journal:first(
      "SELECT value FROM _collegedb_counters WHERE name = 'move'").value < 1000)
  end)
end)
