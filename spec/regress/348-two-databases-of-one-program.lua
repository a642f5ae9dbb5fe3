-- Two databases that a program had opened in the same second could not tell their files in statistics_dir apart: the
-- sum over all had one of them twice and the other not at all. And a program that had nothing to do after it had opened
-- showed others what opening did.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local function reads(db, all) return db:statistics({ all = all }).shards[1].reads end

describe("regression 348:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("the sum over all programs has each database once", function()
    local list, sum = {}, 0
    for i = 1, 4 do
      list[i] = fixture.open(fixture.config { statistics_dir = fixture.path "stats" })
      for _ = 1, 10 ^ i do list[i]:shard("a"):first "SELECT 1" end
    end
    for _, db in ipairs(list) do
      db:statistics { all = true } -- shows its numbers
      sum = sum + reads(db, false)
    end
    for _, db in ipairs(list) do
      assert.same({ 4, sum }, { db:statistics({ all = true }).programs, reads(db, true) })
    end
  end)

  it("what opening did is shown to nobody", function()
    local db = fixture.database("CREATE TABLE t (id TEXT)", { statistics_dir = fixture.path "stats" })
    core.show_statistics(db) -- as when a second has passed
    core.count_from_now(db)
    local shown = core.read_statistics(fixture.path "stats")
    assert.same({ 0, 0 }, { shown[1].shards[1].reads, shown[1].shards[1].writes })
  end)
end)
