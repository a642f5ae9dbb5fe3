-- A program did not know a shard by name that another one had added, until it looked a key up.

local fixture = require "spec.support.fixture"

describe("regression 480:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a shard is known by its name as soon as another program has added it", function()
    local db = fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)")
    local other = fixture.open(fixture.config())
    other:insert("ada", "INSERT INTO users VALUES ('ada')")
    db:add_shard { name = "c", fixture.path "c.db" }
    assert.is_true(other:reassign_shard("ada", "c").moved)
    db:add_shard { name = "d", fixture.path "d.db" }
    assert.is_nil(other:shard("d"):first "SELECT id FROM users")
    fixture.raises("SHARD_NOT_FOUND", "there are a, b, c, d", other.shard, other, "e")
  end)
end)
