-- status called a killed program's move alive right below "open in 0 programs", and doctor was content; and when its
-- lease had ended, doctor wrote a line for each of its keys.

local collegedb = require "collegedb"
local config = require "collegedb.config"
local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"
local status = require "collegedb.status"
local view = require "collegedb.status_view"

describe("regression 411: a move whose program was killed", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- Of all keys of shard a, at its commit.
  local function die()
    local db = collegedb.open(fixture.config())
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for i = 1, 60 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    db:close()
    fixture.spawn [[
      local core, move = require "collegedb.core", require "collegedb.workflows.move"
      local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = false,
        shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      local state, keys = core.state(db), {}
      for row in db:shard "a":each "SELECT id FROM users" do keys[#keys + 1] = row.id end
      move.run(state, { keyspace = "", keys = keys, source = 1, target = 2, on_step = function(name)
        if name == "commit" then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
      end })]]:close()
  end

  local function lines_about_moves(report)
    local lines = {}
    for _, each in ipairs(report.diagnoses) do
      if each.topic == "moves" then lines[#lines + 1] = each.what end
    end
    return lines
  end

  it("is told as one that was left, in one line", function()
    die()
    local reader = status.new(config.normalize(fixture.config()))
    local report = reader:read()
    reader:close()
    assert.same({ 0, 1, false }, { report.moves.live, report.moves.waiting, report.healthy })
    assert.matches("%d+ keys %(some may be counted on both%)[^\n]*: its program has ended",
      table.concat(view.lines(report, 100), "\n"))
    local told = doctor.run(fixture.config())
    assert.is_false(told.success)
    assert.equal(1, #lines_about_moves(told))
    fixture.rows("directory.db", "UPDATE _collegedb_moves SET lease = 0")
    told = lines_about_moves(doctor.run(fixture.config()))
    assert.equal(1, #told, table.concat(told, "\n"))
    assert.matches("with %d%d keys: its program has ended", told[1])
    assert.is_true(doctor.run(fixture.config(), true).success)
  end)
end)
