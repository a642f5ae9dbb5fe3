-- limits = "d1": a file that refuses what would be too large for D1.

local fixture = require "spec.support.fixture"

local raises = fixture.raises

describe("a shard with limits = \"d1\"", function()
  local db

  before_each(function()
    fixture.start()
    db = fixture.open { kv = "memory:", shards = { { name = "a", fixture.path "a.db", limits = "d1" } } }
    db:shard("a"):exec "CREATE TABLE t (id TEXT PRIMARY KEY, v)"
  end)

  after_each(fixture.stop)

  it("takes what D1 takes", function()
    db:run("k", "INSERT INTO t VALUES (?, ?)", { "k", ("x"):rep(1999000) })
    assert.equal(1999000, #db:first("k", "SELECT v FROM t WHERE id = ?", { "k" }).v)
    local marks, values = {}, {}
    for i = 1, 1000 do marks[i], values[i] = "?", i end
    assert.is_nil(db:first("k", "SELECT id FROM t WHERE v IN (" .. table.concat(marks, ",") .. ")", values))
  end)

  it("refuses what is larger", function()
    raises("TOO_LARGE", nil, db.run, db, "k", "INSERT INTO t VALUES (?, ?)", { "k", ("x"):rep(2000001) })
    raises("TOO_LARGE", nil, db.run, db, "k", "SELECT id FROM t WHERE v = '" .. ("x"):rep(100001) .. "'")
    local columns = {}
    for i = 1, 101 do columns[i] = "c" .. i end
    local shard = db:shard "a"
    raises("SQL", "columns", shard.exec, shard, "CREATE TABLE wide (" .. table.concat(columns, ", ") .. ")")
    db:run("k", "INSERT INTO t VALUES ('k', 1)")
    raises("SQL", "too complex", db.all, db, "k", "SELECT id FROM t WHERE id LIKE ?", { ("x"):rep(51) })
    assert.equal(1, db:first("k", "SELECT v FROM t WHERE id = ?", { "k" }).v)
  end)

  it("is known to the config", function()
    raises("CONFIG", "limits", fixture.open,
      { kv = "memory:", shards = { { name = "a", fixture.path "a.db", limits = "d2" } } })
  end)
end)
