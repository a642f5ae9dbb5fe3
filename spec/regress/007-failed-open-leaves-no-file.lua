-- An open that failed at its second shard had made the first one's file.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("regression 007:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("an open that fails makes no file", function()
    for field, config in pairs {
      shard = fixture.config { shards = { b = { fixture.path "no/b.db" } } },
      kv = fixture.config { kv = fixture.path "no/directory.db" },
    } do
      fixture.raises("UNAVAILABLE", "does not exist", collegedb.open, config)
      assert.same({}, fixture.files(), field)
    end
  end)
end)
