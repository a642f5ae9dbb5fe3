-- A shard that was closed by a finalizer or a hook while it was asked twice together with others ended the program; and
-- an error of a hook left the statement running, so that the shard could not be closed any more from a coroutine.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("core.together", function()
  local shard

  before_each(function()
    fixture.start()
    shard = core.sqlite(fixture.path "a.db", { name = "a" })
  end)
  after_each(function()
    core.close(shard)
    fixture.stop()
  end)

  -- Calls f at the n-th function call inside of together: it begins both, then ends both.
  local function with_hook(n, f, calls)
    local count = -1
    debug.sethook(function()
      count = count + 1
      if count == n then f() end
    end, "c")
    local results, failures = core.together(calls, "first")
    debug.sethook()
    return results, failures
  end

  it("raises CLOSED for what was not begun when the shard was closed", function()
    for n = 1, 4 do
      local one = core.sqlite(fixture.path(n .. ".db"), { name = "one" })
      local results, failures = with_hook(n, function() core.close(one) end,
        { { one, "SELECT 1 AS n" }, { one, "SELECT 2 AS n" } })
      for i = 1, 2 do
        if not results[i] then assert.equal("CLOSED", failures[i].code, n) end
      end
      assert.equal("CLOSED", failures[2].code)
    end
  end)

  it("leaves no statement running when a hook raises", function()
    local _, failures = with_hook(2, function() error("stop", 0) end, { { shard, "SELECT 1 AS n" } })
    assert.equal("stop", failures[1])
    coroutine.wrap(function() core.close(shard) end)()
    assert.matches("closed", tostring(shard))
  end)
end)
