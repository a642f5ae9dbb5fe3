-- A statement without parameters that had ?1 inside quotes was sent to D1 with a parameter, and refused as if D1 had
-- failed.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"

describe("a statement for D1 without parameters", function()
  before_each(faults.start)
  after_each(faults.stop)

  it("is sent without any, whatever it has in quotes", function()
    local path = "/d1/database/x/raw"
    faults.play_at(path, faults.answers(200, '{"success":true,"errors":[],"messages":[],"result":[{"success":true,'
      .. '"meta":{},"results":{"columns":["?1"],"rows":[["text"]]}}]}'))
    local shard = collegedb.d1({ database = "x", endpoint = faults.origin() }):open "x"
    assert.same({ ["?1"] = "text" }, shard:first "SELECT 'text' AS \"?1\"")
    assert.is_nil(faults.seen(path):find("params", 1, true))
    shard:first("SELECT ? AS \"?1\"", { 5 })
    assert.is_not_nil(faults.seen(path):find("params", 1, true))
    core.close(shard)
  end)
end)
