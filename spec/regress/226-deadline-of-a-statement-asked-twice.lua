-- A statement that D1 was asked twice for, once for its columns, had its deadline twice.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"

describe("the deadline of a statement for D1", function()
  before_each(faults.start)
  after_each(faults.stop)

  it("is of all its requests", function()
    local path = "/d1/database/x/raw"
    local first = faults.answers(200, '{"success":true,"errors":[],"messages":[],"result":[{"success":true,"meta":{},'
      .. '"results":{"columns":["id"],"rows":[[5]]}}]}')
    first.delay = 1500
    faults.play_at(path, first, { ending = "stall" })
    local shard = collegedb.d1({ database = "x", endpoint = faults.origin(), deadline = 2 }):open "x"
    local began = core.now()
    fixture.raises("TIMEOUT", nil, shard.first, shard, "SELECT id FROM t")
    assert(core.now() - began < 3000, core.now() - began)
    assert.equal(2, faults.count(path))
    core.close(shard)
  end)
end)
