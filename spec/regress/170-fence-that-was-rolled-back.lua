-- A move that was refused had put the fence up in a transaction which was rolled back, and remembered in which
-- version of the schema it had seen it. When others made just as many tables, the next move took the fence for
-- standing.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("a fence whose transaction was rolled back", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is put up by the next move", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    local doubled = fixture.key_on(db, "a")
    local key = fixture.key_on(db, "a", 1 + tonumber(doubled:sub(2)))
    for _, each in ipairs { doubled, key } do db:insert(each, "INSERT INTO users VALUES (?, 1)", { each }) end
    local other = core.sqlite(fixture.path "b.db", {})
    fixture.track { close = function() core.close(other) end }
    local version = other:first("PRAGMA schema_version").schema_version
    other:run("INSERT INTO users VALUES (?, 1)", { doubled })
    fixture.raises("CONFLICT", nil, db.reassign_shard, db, doubled, "b")
    assert.equal(version, other:first("PRAGMA schema_version").schema_version)
    local seen = {}
    for _, each in pairs(core.state(db).fences) do seen[#seen + 1] = each end
    table.sort(seen)
    for i = version + 1, seen[#seen] or 0 do other:exec(("CREATE TABLE t%d (a)"):format(i)) end
    assert.is_true(db:reassign_shard(key, "b").moved)
    assert.is_true(#other:all "SELECT name FROM sqlite_schema WHERE name GLOB '_collegedb_fence_*'" > 1)
  end)
end)
