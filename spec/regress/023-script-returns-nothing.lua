-- A strategy or rules file that returned nothing was called unknown.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("regression 023:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a script file that returns nothing is named", function()
    for kind, folder in pairs { strategy = "strategies", rules = "rules" } do
      os.execute("mkdir -p " .. fixture.path("mine/" .. folder))
      fixture.write("mine/" .. folder .. "/empty.lua", "-- nothing yet")
      local config = fixture.config { [kind] = "empty", script_dirs = { fixture.path "mine" } }
      fixture.raises("SCRIPT", "empty", collegedb.open, config)
    end
  end)
end)
