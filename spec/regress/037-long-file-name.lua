-- An open that failed at a shard's file, because its name was too long, left the directory's file behind.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("regression 037:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a file that can not be made is noticed first", function()
    fixture.write("file", "")
    for name, reason in pairs { [("n"):rep(300)] = "name too long", [("n"):rep(250)] = "name too long",
      ["file/a.db"] = "[Nn]ot a directory" } do
      local config = fixture.config { shards = { b = { fixture.path(name) } } }
      fixture.raises("UNAVAILABLE", reason, collegedb.open, config)
      fixture.raises("UNAVAILABLE", reason, collegedb.open, fixture.config { kv = fixture.path(name) })
      assert.same({ "file" }, fixture.files())
    end
  end)
end)
