-- `collegedb report -o` replaced the lock file of the directory, so that `status` knew of no program while one was
-- writing, and would have taken the name of a -wal file that SQLite was still to make.

local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

describe("regression 425:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function run(...) return process.run({ process.collegedb, ... }, { folder = fixture.path "." }) end

  local function refused(name, why)
    local before = fixture.bytes(name)
    local result = run("report", "--no-verify", "-o", name)
    assert.same({ 2, "" }, { result.status, result.stdout }, name)
    assert.matches("^collegedb report: USAGE: [^\n]*" .. why .. "[^\n]*\n$", result.stderr)
    assert.matches(name, result.stderr, 1, true)
    assert.equal(before, fixture.bytes(name))
  end

  before_each(function()
    fixture.write("collegedb.lua", [[return { kv = "directory.db", shards = { a = "a.db", b = "links/b.db" },
      statistics_dir = "stats", slow_query = 1, slow_query_log = "slow.log", script_dirs = { "." } }]])
    for _, folder in ipairs { "stats", "links", "far" } do os.execute("mkdir " .. fixture.path(folder)) end
    os.execute(("ln -s ../far/b.db %s"):format(fixture.path "links/b.db"))
    fixture.sqlite("far/b.db", "CREATE TABLE x (id)")
    assert.equal(0, run("add", "north", "north.db").status)
  end)

  it("a page takes the place of no file that the database has, or will have", function()
    for _, base in ipairs { "directory.db", "a.db", "./far/../links/b.db", "far/b.db", "north.db" } do
      for _, ending in ipairs { "", "-wal", "-shm", "-journal", "-users" } do
        if not (base:find "links" and ending ~= "") then refused(base .. ending, "the page would overwrite it") end
      end
    end
    refused("collegedb.lua", "is the config")
    refused("slow.log", "is the slow_query_log")
    refused("stats/page.html", "is in the statistics_dir")
    refused("page.lua", "would be a script")
  end)

  it("nor of the lock of a program that is there", function()
    local db = fixture.open { kv = fixture.path "directory.db", shards = { { name = "a", fixture.path "a.db" },
      { name = "b", fixture.path "links/b.db" } } }
    refused("directory.db-users", "a file of the directory")
    os.execute(("ln %s %s"):format(fixture.path "directory.db-users", fixture.path "innocent.html"))
    refused("innocent.html", "a file of the directory")
    local seen = run "status"
    assert.matches("open in 1 program", seen.stdout)
    db:close()
  end)

  it("a page beside them is written, through a link too", function()
    os.execute(("ln -s far/page.html %s"):format(fixture.path "link.html"))
    fixture.write("far/page.html", "")
    assert.equal("", run("report", "--no-verify", "-o", "link.html").stderr)
    assert.matches("^<!doctype", fixture.bytes "far/page.html")
    assert.matches("^far/page.html", process.run({ "readlink", fixture.path "link.html" }).stdout)
  end)
end)
