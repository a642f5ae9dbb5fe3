-- A strategy was not told the table of a statement on a table with text keys.

local fixture = require "spec.support.fixture"

describe("regression 018:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("ctx.table names the statement's table", function()
    local seen = {}
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY); CREATE TABLE posts (id INTEGER PRIMARY KEY)",
      { strategy = function(_, shards, ctx)
        seen[#seen + 1] = ctx.table
        return shards[1].name
      end })
    db:insert("u", "INSERT INTO users VALUES ('u')")
    db:insert(1, "INSERT INTO posts VALUES (1)")
    assert.same({ "users", "posts" }, seen)
  end)
end)
