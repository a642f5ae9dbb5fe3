-- The fence of a table with a unique index over a generated column named a column that its stage has not: every INSERT
-- failed.

local fixture = require "spec.support.fixture"

describe("regression 142:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("rows whose uniqueness no fence can hold are not moved", function()
    local db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY, mail TEXT,
      folded TEXT AS (lower(mail)) STORED UNIQUE)]]
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users (id, mail) VALUES (?, 'A@x')", { key })
    fixture.raises("UNSUPPORTED", "generated column", db.reassign_shard, db, key, "b")
    db:insert("another", "INSERT INTO users (id, mail) VALUES ('another', 'B@x')")
  end)
end)
