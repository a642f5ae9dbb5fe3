-- Two moves staged rows with one unique value at the same shard, both were committed, and the second could never be
-- brought in.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

describe("regression 140:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("of two moves to one shard that bring one unique value the second is refused", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, mail TEXT UNIQUE COLLATE NOCASE)", nil,
      { "a", "b", "c" })
    local first, second = fixture.key_on(db, "a"), fixture.key_on(db, "c")
    db:insert(first, "INSERT INTO users VALUES (?, 'one@x')", { first })
    db:insert(second, "INSERT INTO users VALUES (?, 'ONE@x')", { second })
    local refused
    local report = move.run(core.state(db), { keyspace = "", keys = { first }, source = 1, target = 2,
      on_step = function(step)
        if step == "copy" then refused = fixture.raises("CONFLICT", "mail", db.reassign_shard, db, second, "b") end
      end })
    assert.equal(1, report.rows)
    assert.equal(second, refused.key)
    assert.equal(1, db:count "users" - 1)
    assert.same({ "b" }, fixture.holders({ "a", "b", "c" }, "users", "id", first))
    assert.same({ "c" }, fixture.holders({ "a", "b", "c" }, "users", "id", second))
    db:run(second, "UPDATE users SET mail = 'two@x' WHERE id = ?", { second })
    assert.is_true(db:reassign_shard(second, "b").moved)
  end)
end)
