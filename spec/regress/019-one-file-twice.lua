-- Two shards could be one file under two spellings of its path.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("regression 019:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("one file under two paths is refused", function()
    local config = fixture.config()
    config.shards[2][1] = fixture.path "./a.db"
    fixture.raises("CONFIG", "shards%[2%]", collegedb.open, config)
    config.shards[2][1] = fixture.path "../" .. fixture.path("a.db"):match "([^/]+/[^/]+)$"
    fixture.raises("CONFIG", "shards%[2%]", collegedb.open, config)
  end)
end)
