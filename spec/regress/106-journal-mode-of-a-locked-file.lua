-- Opening a new file, which is to be in WAL mode, while somebody had locked it waited for busy_timeout once for every
-- 5 ms of it: 83 minutes instead of 5 s.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local forks = require "forks"

-- In a process of its own, since the VFS stays: every lock from the n-th on is refused.
local function open_locked(path, n)
  local pid, from, into = forks.start(function(_, to)
    local shim = require("faultvfs").install()
    shim:arm { at = n, action = "busy", lasting = true, calls = "lock" }
    local start = core.now()
    local done, err = pcall(core.sqlite, path, { busy_timeout_ms = 100 })
    to:write(done and "opened" or err.code, " ", core.now() - start)
  end)
  local text = from:read "a"
  from:close()
  into:close()
  assert.equal(0, forks.wait(pid), text)
  local code, time = text:match "^(%a+) (%d+)"
  return code, tonumber(time)
end

describe("a file that is locked while its journal mode is set", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is waited for no longer than busy_timeout", function()
    local busy = 0
    for n = 1, 6 do
      local code, time = open_locked(fixture.path "a.db", n)
      if code == "BUSY" then busy = busy + 1 end
      assert.is_true(time < 800, ("lock %d: %s after %d ms"):format(n, code, time))
      for _, name in ipairs(fixture.files()) do os.remove(fixture.path(name)) end
    end
    assert.is_true(busy >= 2)
  end)
end)
