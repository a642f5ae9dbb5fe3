-- `collegedb metrics` opened the database as a program does: each scrape ended moves, took weights of the config into
-- use and made files, and when a shard was not there it said nothing at all.

local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

describe("regression 402:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("metrics are printed when a shard is broken, and nothing is made", function()
    local text = [[return { kv = "directory.db", shards = { a = "a.db", b = "b.db" }, statistics_dir = "stats" }]]
    fixture.write("collegedb.lua", text)
    local function run()
      local result = process.run({ process.collegedb, "metrics" }, { folder = fixture.path "." })
      assert.same({ 0, "" }, { result.status, result.stderr })
      return result.stdout
    end
    assert.matches("\ncollegedb_programs 0\n", run())
    assert.same({ "collegedb.lua" }, fixture.files())
    local db = fixture.open(fixture.config { statistics_dir = fixture.path "stats" })
    assert.matches("\ncollegedb_epoch %d+\n", run())
    db:close()
    fixture.write("b.db", ("no database "):rep(500))
    assert.matches('\ncollegedb_shard_size_bytes{shard="a"} %d+\n$', run())
  end)
end)
