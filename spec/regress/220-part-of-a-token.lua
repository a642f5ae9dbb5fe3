-- A message of D1's that was cut off inside the token showed the token's beginning; a token of asterisks hung.

local collegedb = require "collegedb"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"

local function message_for(token, said)
  faults.play_at("/d1/database/x/raw",
    faults.answers(400, ('{"success":false,"errors":[{"code":7500,"message":"%s"}]}'):format(said)))
  local value = collegedb.d1 { database = "x", endpoint = faults.origin(), token = token, deadline = 2 }
  return fixture.raises("UNAVAILABLE", nil, value.run, value, "UPDATE t SET v = 1").message
end

describe("a message of D1's that holds the token", function()
  before_each(faults.start)
  after_each(faults.stop)

  it("does not show its beginning where it is cut off", function()
    local token = "t0ken-0123456789abcdef.Qq_secret"
    for size = 0, #token do
      local message = message_for(token, ("x"):rep(size) .. (token .. " "):rep(60))
      assert.is_nil(message:find(token:sub(1, 4), 1, true), message)
    end
  end)

  it("is raised where the token is nothing but asterisks", function()
    assert.matches("xy", message_for("*", "x*y"):gsub("%*", ""), 1, true)
  end)
end)
