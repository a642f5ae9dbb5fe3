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
    local path = faults.play { send = "HTTP/1.1 700 Odd\r\nContent-Length: 2\r\n\r\nok" }
    local done, err = pcall(net.request, { url = faults.origin() .. path })
    assert.is_false(done)
    assert.equal("UNAVAILABLE", err.code)
    assert.equal(700, err.http_status)
  end)
end)

describe("what a config and a script can say wrongly", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is told with the field", function()
    local function wrong(pattern, fields)
      local err = fixture.raises("CONFIG", pattern, collegedb.open, fixture.config(fields))
      return err.field
    end
    assert.equal("statistics_dir", wrong("takes a path, not \"\"", { statistics_dir = "" }))
    assert.equal("slow_query", wrong("is missing", { slow_query_log = fixture.path "log" }))
    assert.equal("shard_locations", wrong("takes a map from shards to regions", { shard_locations = 7 }))
    assert.equal("shard_locations[\"a\"].priority",
      wrong("takes a whole number", { shard_locations = { a = { region = "weur", priority = "high" } } }))
  end)

  it("is a turn that is no name, or a shard that is none", function()
    local function insert(strategy)
      local db = fixture.database(SCHEMA, { strategy = strategy })
      db:insert("k", "INSERT INTO users VALUES ('k', 'Kim')")
    end
    fixture.raises("USAGE", "ctx.turn takes a name, a string, not a number", insert,
      function(_, shards, ctx) return shards[ctx.turn(5) % 2 + 1].name end)
    fixture.raises("SCRIPT", "true", insert, function() return true end)
  end)

  it("is an answer to a conflict that is none", function()
    for _, name in ipairs { "a.db", "b.db" } do
      fixture.sqlite(name, SCHEMA .. "; INSERT INTO users VALUES ('k', 'Kim')")
    end
    for answer, shown in pairs { [7] = "a number", both = '"both"' } do
      local rules = { conflict = function() return answer end }
      local err = fixture.raises("SCRIPT", "conflict returned " .. shown .. " for the key k of table users",
        function() fixture.open(fixture.config { rules = rules }) end)
      assert.equal("users", err.table)
    end
  end)
end)

describe("JSON", function()
  it("has characters beyond the first 65,536 as two, too", function()
    local json_reader = require "collegedb.json_reader"
    assert.equal("a😀b", json_reader.decode [["a\ud83d\ude00b"]])
    assert.same({ "\u{10FFFF}" }, json_reader.decode [=[["\udbff\udfff"]]=])
  end)
end)

describe("requests", function()
  it("have a number at once, and budgets one in a time", function()
    for _, parallel in ipairs { 0, 1001, 1.5, "2" } do
      fixture.raises("USAGE", "parallel takes a whole number", net.perform, {}, { parallel = parallel })
    end
    for _, limit in ipairs { 0, 1.5, 1000001 } do
      fixture.raises("USAGE", "a number of requests, and seconds", net.budget, "account", limit)
    end
    fixture.raises("USAGE", "a number of requests, and seconds", net.budget, "account", 5, 0)
  end)
end)
