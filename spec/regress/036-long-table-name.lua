-- Statements on a table with a name of over 255 bytes took their key for one without a table: on a NOCASE key 'K1' and
-- 'k1' could then be placed on two shards.

local fixture = require "spec.support.fixture"

describe("regression 036:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a table's name that can not be routed is refused", function()
    local name = ("n"):rep(256)
    local db = fixture.database(("CREATE TABLE %s (id TEXT COLLATE NOCASE PRIMARY KEY)"):format(name))
    local insert = ("INSERT INTO %s VALUES (?)"):format(name)
    for _, key in ipairs { "k1", "K1" } do
      fixture.raises("USAGE", "more than 255 bytes", db.insert, db, key, insert, { key })
    end
    assert.equal(0, (db:count(name)))
  end)
end)
