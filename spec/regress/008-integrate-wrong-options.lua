-- Wrong options of integrate raised Lua's own errors.

local fixture = require "spec.support.fixture"

describe("regression 008:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("wrong options of integrate are USAGE", function()
    local db = fixture.database()
    for _, opts in ipairs { 5, "t", true, { tables = { 1 } }, { tables = { {} } } } do
      fixture.raises("USAGE", nil, db.integrate, db, "a", opts)
    end
  end)
end)
