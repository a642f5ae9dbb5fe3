-- Databases with D1 shards left their connections open when they were closed, until the program ended.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"

describe("a D1 shard that is closed", function()
  before_each(faults.start)

  it("leaves no connection behind, with the last one", function()
    local path = "/d1/database/x/raw"
    faults.play_at(path, faults.answers(200, '{"success":true,"errors":[],"messages":[],"result":[{"success":true,'
      .. '"meta":{},"results":{"columns":["v"],"rows":[["text"]]}}]}'))
    local value = collegedb.d1 { database = "x", endpoint = faults.origin() }
    fixture.start()
    for _ = 1, 2 do
      local one, two = value:open "one", value:open "two"
      assert.equal("text", one:first("SELECT v FROM t").v)
      core.close(one)
      assert.equal("text", two:first("SELECT v FROM t").v)
      core.close(two)
    end
    faults.stop() -- the other ends are open in this process too
    fixture.stop()
  end)
end)
