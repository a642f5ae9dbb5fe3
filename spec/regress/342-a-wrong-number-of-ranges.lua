-- A COLLEGEDB_RANGES that is no number from 1 to 256 was taken for 16 without a word, and the first use settled that.

local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local net = require "collegedb.net"

describe("regress: a wrong number of ranges", function()
  if gateway.skips(it, function(why) pending(why) end) then return end

  before_each(fixture.start)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  local function lookup(ranges)
    local served <close> = setmetatable(gateway.start { vars = { COLLEGEDB_RANGES = ranges } },
      { __close = function(self) self.stop() end })
    local status, _, code, message = gateway.ask { url = served.url .. "/coordinator/lookup", body = { key = "ada" } }
    net.close()
    return status, code, message
  end

  it("is refused", function()
    for _, wrong in ipairs { "many", "0", "257", "1.5" } do
      local status, code, message = lookup(wrong)
      assert.same({ 503, "CONFIG", "COLLEGEDB_RANGES takes a whole number from 1 to 256" }, { status, code, message })
    end
    assert.equal(200, (lookup "256"))
    assert.equal(200, (lookup ""))
  end)
end)
