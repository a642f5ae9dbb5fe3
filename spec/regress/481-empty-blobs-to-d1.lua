-- Rows whose only bytes that stand apart were empty BLOBs could not be moved to a database that takes a statement at a
-- time: SQLite's substr() of an empty BLOB is NULL.

local assert = require "luassert"
local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("regression 481:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("an empty BLOB arrives", function()
    local shards = { { name = "a", fixture.path "a.db" }, { name = "b", fixture.single "b.db" } }
    local db = fixture.open { kv = fixture.path "directory.db", shards = shards }
    for _, name in ipairs { "a", "b" } do db:shard(name):exec "CREATE TABLE users (id TEXT PRIMARY KEY, v, w)" end
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, ?, '')", { key, collegedb.blob "" })
    assert.is_true(db:reassign_shard(key, "b").moved)
    local sql = "SELECT typeof(v) AS v, typeof(w) AS w FROM users WHERE id = ?"
    assert.same({ v = "blob", w = "text" }, db:first(key, sql, { key }))
  end)
end)
