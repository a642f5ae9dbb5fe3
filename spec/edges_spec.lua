-- What is seldom met: the lines that no other spec ran (make coverage).

local collegedb = require "collegedb"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local lfs = require "lfs"
local net = require "collegedb.net"
local process = require "spec.support.process"

local SCHEMA <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT)"

describe("the file that says who uses a directory", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  ---Holds the lock that a program takes while it changes the shards.
  local function hold(seconds)
    local pipe = assert(io.popen(("exec env -u LD_PRELOAD flock -x %s sh -c 'echo held; exec sleep %s'"):format(
      process.quote(fixture.path "directory.db-users"), seconds)))
    assert.equal("held", pipe:read "l")
    return pipe
  end

  it("is waited for while another program changes the shards", function()
    fixture.database(SCHEMA):close()
    local pipe = hold(0.2)
    fixture.open(fixture.config())
    pipe:close()
  end)

  it("is no folder", function()
    fixture.database(SCHEMA):close()
    os.remove(fixture.path "directory.db-users")
    assert(lfs.mkdir(fixture.path "directory.db-users"))
    fixture.raises("UNAVAILABLE", "directory%.db%-users can not be opened: ", collegedb.open, fixture.config())
  end)
end)

describe("statistics_dir", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("must be a folder, or a name for one", function()
    fixture.write("plain", "")
    local inside = fixture.path "plain" .. "/inside"
    fixture.raises("CONFIG", "statistics_dir: the folder .*/plain/inside can not be made: Not a directory",
      collegedb.open, fixture.config { statistics_dir = inside })
    fixture.raises("CONFIG", "statistics_dir: no file can be made in .*/plain: Not a directory",
      collegedb.open, fixture.config { statistics_dir = fixture.path "plain" })
  end)
end)

describe("a statement for D1", function()
  -- Nobody is asked: what is wrong is found before.
  local function shard() return collegedb.d1 { database = "d", endpoint = "http://127.0.0.1:1" } end

  after_each(net.close)

  it("is read as SQLite reads it, also where it has no end", function()
    for _, sql in ipairs { "SELECT ?99999", "SELECT ?0", "SELECT ?32767, 'open", "SELECT ?99999 FROM [open" } do
      fixture.raises("SQL", "the parameter %?%d+ is out of range", shard().first, shard(), sql)
    end
  end)

  it("is one, and no transaction over several", function()
    fixture.raises("UNSUPPORTED", "no transactions over several statements", shard().exec, shard(),
      "BEGIN; DELETE FROM t; COMMIT")
  end)
end)

describe("an HTTP status that is none", function()
  before_each(faults.start)
  after_each(function()
    net.close()
    faults.stop()
  end)

  it("is not taken for an answer", function()
    local path = faults.play { status = 700 }
    local answer, err = pcall(net.request, { url = faults.origin() .. path })
    assert.is_false(answer)
    assert.equal("UNAVAILABLE", err.code)
  end)
end)
