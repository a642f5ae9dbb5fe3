-- `collegedb report -o FILE` overwrote the file of a shard that was added while programs ran, and that the config did
-- not name yet.

local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

describe("regression 403:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a page does not take the place of a shard that the directory alone names", function()
    fixture.write("collegedb.lua", [[return { kv = "directory.db", shards = { a = "a.db" } }]])
    local function run(...) return process.run({ process.collegedb, ... }, { folder = fixture.path "." }) end
    assert.equal(0, run("add", "north", "north.db").status)
    for _, name in ipairs { "north.db", "./north.db", "a.db", "directory.db" } do
      local refused = run("report", "--no-verify", "-o", name)
      assert.equal(2, refused.status, name)
      assert.matches("the page would overwrite it", refused.stderr)
    end
    assert.equal("SQLite format 3", fixture.bytes("north.db"):sub(1, 15))
  end)
end)
