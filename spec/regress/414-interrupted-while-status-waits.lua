-- Ctrl-C while `status` waited for a shard was taken for the shard's failure, and ended in one of the command's own.
-- And nothing said what it waited for.

local faults = require "spec.support.faults"
local process = require "spec.support.process"

describe("regression 414:", function()
  local folder

  before_each(function()
    faults.start()
    folder = process.new_folder()
    process.write(folder .. "/collegedb.lua", ([[
      local collegedb = require "collegedb"
      return { kv = "directory.db", shards = {
        { name = "far", collegedb.d1 { database = "x", endpoint = %q, deadline = 20 } } } }]]):format(
      faults.origin "deaf"))
  end)
  after_each(function()
    process.remove(folder)
    faults.stop()
  end)

  local function interrupted(...)
    return process.run({ "timeout", "--preserve-status", "-s", "INT", "1", process.collegedb, "status", ... },
      { folder = folder })
  end

  it("status is interrupted", function()
    local result = interrupted()
    assert.same({ 130, "", "collegedb status: interrupted\n" }, { result.status, result.stdout, result.stderr })
  end)

  it("so is --watch before its first picture, which ends well", function()
    assert.same({ 0, "", "" }, { interrupted("--watch").status, interrupted("--watch").stdout,
      interrupted("--watch").stderr })
  end)

  it("a terminal shows what it waits for", function()
    local result = process.run({ "script", "-qec", ("timeout -s INT 1 %s status"):format(process.collegedb),
      "/dev/null" }, { folder = folder })
    assert.matches("waiting for far", result.stdout)
  end)
end)
