-- The token in COLLEGEDB_GATEWAY_TOKEN was sent to whatever address the directory had for a shard.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local net = require "collegedb.net"

describe("regress: a token and an address of the directory", function()
  if gateway.skips(it, function(why) pending(why) end) then return end

  before_each(fixture.start)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  -- What a program says that has the gateway's token in its environment, and does this before it opens.
  local function told(before)
    local pipe = fixture.spawn(([[
      local real = os.getenv
      os.getenv = function(name) return name == "COLLEGEDB_GATEWAY_TOKEN" and %q or real(name) end
      %s
      local done, err = pcall(collegedb.open, { kv = folder .. "/directory.db", auto_migrate = false,
        shards = { { name = "a", folder .. "/a.db" } } })
      print(done and "opened" or err.code)]]):format(gateway.token, before))
    local output = pipe:read "l"
    pipe:close()
    return output
  end

  it("come together only where the program names the address", function()
    local served <close> = setmetatable(gateway.start { databases = { "DB" } },
      { __close = function(self) self.stop() end })
    local db = fixture.database(nil, nil, { "a" })
    db:add_shard { name = "far", collegedb.gateway({ url = served.url, token = gateway.token }):shard "DB" }
    db:close()
    assert.equal("AUTH", told "")
    assert.equal("AUTH", told [[collegedb.gateway { url = "https://mine.example" }]])
    assert.equal("opened", told(("collegedb.gateway { url = %q }"):format(served.url)))
    net.close()
  end)
end)
