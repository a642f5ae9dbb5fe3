-- Ctrl-C in a batch through the gateway was caught with the first statement's result, and another one's failure raised.

local core = require "collegedb.core"
local faults = require "spec.support.faults"
local process = require "spec.support.process"

describe("regress 336: Ctrl-C in a batch", function()
  before_each(faults.start)
  after_each(faults.stop)

  it("ends the program", function()
    local folder = process.new_folder()
    process.write(folder .. "/wait.lua", ([[
      local collegedb = require "collegedb"
      local shard = collegedb.gateway({ url = %q, token = "t", deadline = 6 }):shard("DB"):open "alone"
      local statements = { { "DELETE FROM t" }, { "INSERT INTO t VALUES (1)" }, { "UPDATE t SET a = 2" } }
      local _, err = pcall(shard.batch, shard, statements)
      io.stderr:write(type(err), "\n")
      error(err, 0)
    ]]):format(faults.origin "deaf"))
    local began = core.now()
    local result = process.run({ "timeout", "-s", "INT", "1.5", process.collegedb, folder .. "/wait.lua" },
      { env = { LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH" } })
    assert(core.now() - began < 5000, result.stderr)
    assert.matches("string", result.stderr, 1, true)
    assert.matches("interrupted!", result.stderr, 1, true)
    process.remove(folder)
  end)
end)
