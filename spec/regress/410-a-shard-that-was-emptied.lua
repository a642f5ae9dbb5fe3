-- A shard's file of 0 bytes, which the directory knew with tables in it, was well for doctor, status and verify, and a
-- program that opened the database made it anew. So were one without tables beside others that have them, one in a
-- folder that is not there, and what is no file.

local collegedb = require "collegedb"
local config = require "collegedb.config"
local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"
local status = require "collegedb.status"

local SCHEMA <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT)"

describe("regression 410: a shard", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function make()
    local db = collegedb.open(fixture.config())
    db:ensure_schema(SCHEMA)
    for i = 1, 40 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 'x')", { "k" .. i }) end
    db:close()
    return fixture.config()
  end

  local function read(given)
    local reader = status.new(config.normalize(given))
    local report = reader:read()
    reader:close()
    return report
  end

  local function finds(state, given, pattern)
    local report = doctor.run(given)
    local said = {}
    for _, each in ipairs(report.diagnoses) do
      if each.state == state and each.what:find(pattern) then return each end
      said[#said + 1] = each.what
    end
    error(("no %s: %s"):format(state, table.concat(said, "\n")))
  end

  local function fault(...) return finds("fault", ...) end

  it("that was emptied is refused, and told", function()
    local given = make()
    fixture.write("a.db", "")
    fixture.raises("CONFIG", "is empty, and the directory knows of tables in it", collegedb.open, given)
    local report = read(given)
    assert.same({ false, "unreachable" }, { report.healthy, report.shards[1].state })
    assert.matches("is empty, and the directory knows", report.shards[1].error.message)
    fault(given, "is empty, and the directory knows of tables in it")
  end)

  it("that had rows before it was taken up is refused, too", function()
    for _, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", SCHEMA)
      for i = 1, 20 do fixture.rows(name .. ".db", "INSERT INTO users VALUES (?, 'x')", { name .. i }) end
    end
    collegedb.open(fixture.config()):close()
    fixture.write("a.db", "")
    fixture.raises("CONFIG", "is empty, and the directory knows of keys in it", collegedb.open, fixture.config())
  end)

  it("may be without tables as long as there are none, and when all were dropped", function()
    local given = fixture.config { shards = { a = { journal_mode = "delete" } } }
    collegedb.open(given):close()
    collegedb.open(given):close()
    make()
    for _, name in ipairs { "a.db", "b.db" } do fixture.rows(name, "DROP TABLE users") end
    collegedb.open(given):close()
    assert.is_true(read(given).healthy)
  end)

  it("without the tables of the others is told", function()
    fixture.sqlite("a.db", SCHEMA)
    local given = fixture.config()
    collegedb.open(given):close()
    assert.equal("b", finds("note", given, "lacks tables of other shards, users: keys").about)
    local db = collegedb.open(given)
    db:create_schema "b"
    db:close()
    for _, each in ipairs(doctor.run(given).diagnoses) do assert.not_matches("lacks", each.what) end
  end)

  it("in a folder that is not there is not new", function()
    local given = fixture.config()
    given.shards[1][1] = fixture.path "nowhere/a.db"
    assert.equal("unreachable", read(given).shards[1].state)
    assert.matches("make the folder", fault(given, "no folder for it").mend)
  end)

  it("can not be a device", function()
    local given = fixture.config()
    given.shards[1][1] = "/dev/zero"
    fixture.raises("CONFIG", "/dev/zero is no file", collegedb.open, given)
    assert.equal("CONFIG", read(given).shards[1].error.code)
    assert.matches("name the database's file", fault(given, "/dev/zero is no file").mend)
  end)
end)
