-- A shard was drained while a move to it was under way: it was empty still, and refused the rows for good when they
-- came in, with the key committed to it.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local growing = require "collegedb.growing"
local move = require "collegedb.workflows.move"
local movers = require "spec.support.movers"

describe("draining a shard that a move goes to", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("does not close it", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", nil, { "a", "b", "c" })
    local key, other = fixture.key_on(db, "a"), core.state(fixture.open(fixture.config(nil, { "a", "b", "c" })))
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    for _, step in ipairs { "receive", "copy" } do
      move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(name)
        if name ~= step then return end
        if step == "receive" then growing.close(other, 2) end
        assert.is_false(growing.seal(other, 2))
      end })
      assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      db:reassign_shard(key, "a")
    end
    assert.is_true(db:drain("b").sealed)
    fixture.raises("USAGE", "was drained", db.reassign_shard, db, key, "b")
    assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
    assert.is_true(db:verify().success)
  end)

  for _, step in ipairs { "receive", "copy" } do
    it("waits for it: one of another program, after " .. step, function()
      local names = { "a", "b", "c" }
      local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", nil, names)
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      local pipe = movers.pause(key, step, "a", "b", 700, names)
      assert.is_true(db:drain("b").sealed)
      pipe:close()
      assert.is_true(#fixture.holders(names, "users", "id", key) == 1)
      assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      assert.is_true((db:locate(key)) ~= "b" and db:verify().success)
    end)
  end
end)
