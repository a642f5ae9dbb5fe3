-- Ctrl-C while more D1 shards than are asked at once were asked together ended the first requests only: the others went
-- on to their deadline.

local core = require "collegedb.core"
local faults = require "spec.support.faults"
local process = require "spec.support.process"

describe("Ctrl-C", function()
  before_each(faults.start)
  after_each(faults.stop)

  it("ends the requests to many D1 shards at once", function()
    local folder = process.new_folder()
    process.write(folder .. "/wait.lua", ([[
      local collegedb, core = require "collegedb", require "collegedb.core"
      local calls = {}
      for i = 1, 40 do
        local value = collegedb.d1 { database = "x" .. i, endpoint = %q, deadline = 6 }
        calls[i] = { value:open("x" .. i), "SELECT 1 AS n" }
      end
      local _, failures = core.together(calls, "first")
      io.stderr:write(failures[40].code, "\n")
      error(failures[1], 0)
    ]]):format(faults.origin "deaf"))
    local began = core.now()
    local result = process.run({ "timeout", "-s", "INT", "1.5", process.collegedb, folder .. "/wait.lua" },
      { env = { LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH" } })
    assert(core.now() - began < 6000, result.stderr)
    assert.matches("interrupted!", result.stderr, 1, true)
    assert.matches("TIMEOUT", result.stderr, 1, true)
    process.remove(folder)
  end)
end)
