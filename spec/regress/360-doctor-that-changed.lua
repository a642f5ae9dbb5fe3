-- `doctor` opened the database to look at it. That ended moves of dead programs, took another weight into use, and made
-- the lock of a directory, all without --repair; and what kept it from opening hid everything else.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

describe("doctor", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function digests()
    local list = {}
    for _, name in ipairs(fixture.files()) do list[name] = ("%q"):format(core.sha256(fixture.bytes(name))) end
    return list
  end

  it("changes nothing unless it is asked to repair", function()
    local db = collegedb.open(fixture.config())
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for i = 1, 40 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    local key = fixture.key_on(db, "a")
    db:close()
    movers.die(key, "copy", "a", "b")
    movers.expire()
    local given = fixture.config { shards = { a = { weight = 7 } } }
    os.remove(fixture.path "directory.db-users")
    for _, name in ipairs { "a.db", "b.db" } do fixture.rows(name, "SELECT 1 FROM users") end -- what is in the WAL
    local before = digests()
    assert.is_false(doctor.run(given).success)
    assert.same(before, digests())
  end)

  it("tells what is wrong with a directory also when a shard does not open", function()
    collegedb.open(fixture.config()):close()
    fixture.rows("directory.db", "INSERT INTO _collegedb_shards (name) VALUES ('gone')")
    fixture.rows("directory.db", "INSERT INTO _collegedb_entries SELECT x'00', id, 0 FROM _collegedb_shards "
      .. "WHERE name = 'gone'")
    fixture.write("b.db", ("no database "):rep(500))
    local found = 0
    for _, each in ipairs(doctor.run(fixture.config()).diagnoses) do
      local told = each.what:find "1 entry names shard gone" or each.what:find "file is not a database"
      found = found + (told and 1 or 0)
    end
    assert.is_true(found >= 2)
  end)
end)
