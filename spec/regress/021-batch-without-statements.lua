-- A batch given as { sql = … } did nothing and said nothing.

local fixture = require "spec.support.fixture"

describe("regression 021:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a batch of no array is refused", function()
    local db = fixture.database()
    fixture.raises("USAGE", nil, db.batch, db, "k", { sql = "SELECT 1" })
    assert.same({}, db:batch("k", {}))
  end)
end)
