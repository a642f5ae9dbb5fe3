-- Control-C while a program was told of slow statements: it was never told of one again, and what an integration in the
-- background had to tell waited for the next slow statement.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SELECT <const> = "SELECT hex(randomblob(10000))"

describe("regression 349:", function()
  local slow_queries = core.slow_queries
  before_each(fixture.start)
  after_each(function()
    core.slow_queries = slow_queries
    fixture.stop()
  end)

  it("slow statements are told after an interrupt", function()
    local told = 0
    local db = fixture.open(fixture.config { slow_query = 1e-6,
      on_event = function(event) told = told + (event.event == "slow" and 1 or 0) end })
    core.slow_queries = function()
      core.slow_queries = slow_queries
      error("interrupted!", 0)
    end
    db:shard("a"):first(SELECT)
    local done, err = pcall(db.first, db, "x", SELECT, {})
    assert.same({ false, "interrupted!" }, { done, err })
    told = 0
    db:first("x", "SELECT 1", {})
    assert.is_true(told > 0)
  end)
end)
