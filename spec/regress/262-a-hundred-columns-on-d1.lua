-- A table of 100 columns, as many as D1 takes, kept the keys of every table from being moved with an SQL error: what is
-- made for rows that arrive has one more.

local fixture = require "spec.support.fixture"
local single = require "spec.support.single"

describe("a table of 100 columns where there are no transactions", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function wide(count)
    local columns = {}
    for i = 2, count do columns[i - 1] = "c" .. i end
    return ("CREATE TABLE wide (id TEXT PRIMARY KEY, %s)"):format(table.concat(columns, ", "))
  end

  it("is named when keys can not be moved for it", function()
    local db = single.open(single.BOTH)
    db:ensure_schema(wide(100))
    local key = single.make(db)
    local before = single.contents "a"
    fixture.raises("UNSUPPORTED", "rows of wide can not be moved: it has 100 columns", db.reassign_shard, db, key, "b")
    single.check_whole(db, key, before, "a")
  end)

  it("may have 99", function()
    local db = single.open(single.BOTH)
    db:ensure_schema(wide(99))
    assert.is_true(db:reassign_shard(single.make(db), "b").moved)
  end)
end)
