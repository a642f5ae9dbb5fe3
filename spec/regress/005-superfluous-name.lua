-- A params table with positions and a name was accepted when the name came first in the table's hash part.

local fixture = require "spec.support.fixture"

describe("regression 005:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a name beside positions is superfluous, wherever it stands in the table", function()
    local db = fixture.database()
    for i = 1, 100 do
      local name = "n" .. i
      fixture.raises("USAGE", name .. " is superfluous", db.first, db, "k", "SELECT ? AS v, ?",
        { [name] = 1, [1] = "a", [2] = "b" })
    end
  end)
end)
