-- `status --watch` of many shards showed the first ones and not the balance, the directory and moves; a long name
-- pushed the numbers off the screen.

local fixture = require "spec.support.fixture"
local config = require "collegedb.config"
local status = require "collegedb.status"
local view = require "collegedb.status_view"

describe("regression 415: status", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function read(names)
    for _, name in ipairs(names) do
      fixture.sqlite(name:sub(1, 20) .. ".db", "CREATE TABLE users (id TEXT PRIMARY KEY)")
    end
    local shards = {}
    for i, name in ipairs(names) do shards[i] = { name = name, fixture.path(name:sub(1, 20) .. ".db") } end
    local reader = status.new(config.normalize { kv = fixture.path "directory.db", shards = shards })
    local report = reader:read()
    reader:close()
    return report
  end

  it("of a hundred shards has what is wrong, and what is told of all of them", function()
    local names = {}
    for i = 1, 100 do names[i] = ("s%02d"):format(i) end
    local report = read(names)
    report.shards[77].count = 1
    report.shards[88].state, report.shards[88].error = "unreachable", { code = "TIMEOUT", message = "it is away" }
    local lines = view.lines(report, 80, 22)
    local text = table.concat(lines, "\n")
    assert.is_true(#lines <= 22, #lines)
    assert.matches("^shard[^\n]+\ns88 .*\ns77 ", text)
    assert.matches("… and %d%d more, all open\ns88: it is away\n", text)
    assert.matches("\ndirectory: none yet.*\nmoves: none$", text)
    assert.equal(100, select(2, table.concat(view.lines(report, 80), "\n"):gsub("\ns%d+ ", "")))
  end)

  it("shortens a long name in its middle, and not its numbers", function()
    local report = read { "customers-of-the-" .. ("x"):rep(90) .. "-north", "b" }
    for _, width in ipairs { 60, 80 } do
      local row = view.lines(report, width)[2]
      assert.is_true(#(row:match "^%S+") < 30 and row:find "north" ~= nil, row)
      assert.is_true(row:find "KiB" < width, row)
    end
    assert.matches(("x"):rep(90), view.lines(report, 80, nil, true)[2])
  end)
end)
