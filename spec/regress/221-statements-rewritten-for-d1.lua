-- Statements that SQLite takes were refused by D1 as they were rewritten, or gave values under other names: columns
-- whose order had changed since, names without AS behind RETURNING, parameters next to a word, and Tcl's parameters.

local collegedb = require "collegedb"
local engine = require "spec.support.engine"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"

describe("a statement that is rewritten for D1", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local shard

  setup(function()
    local endpoint, names = engine.start(1)
    shard = collegedb.d1 { database = names[1], endpoint = endpoint }
    shard:run "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w)"
  end)
  teardown(function()
    net.close()
    engine.stop()
  end)
  before_each(function() shard:run "DELETE FROM t" end)

  it("gives values under their names when the columns have another order", function()
    shard:run "CREATE TABLE moved (a INTEGER, b INTEGER)"
    shard:run "INSERT INTO moved VALUES (1, 2)"
    local sql = "SELECT * FROM moved"
    assert.same({ a = 1, b = 2 }, shard:first(sql))
    shard:exec "ALTER TABLE moved DROP COLUMN a; ALTER TABLE moved ADD COLUMN a INTEGER; UPDATE moved SET a = 1"
    assert.same({ a = 1, b = 2 }, shard:first(sql))
  end)

  it("may name what it returns without AS", function()
    assert.same({ x = 1, ["y z"] = 2, q = 3, n = 1, e = 4 }, shard:first(
      [[INSERT INTO t VALUES (1, 2, 3) RETURNING id x, v "y z", (w) 'q', w NOT NULL n, CASE WHEN 1 THEN 4 END e]]))
    assert.same({ v = 2, ["v ISNULL"] = 0, ["id COLLATE NOCASE"] = 1, ["x'61'"] = "a" },
      shard:first "UPDATE t SET w = 5 RETURNING t.v, v ISNULL, id COLLATE NOCASE, x'61'")
    for _, ending in ipairs { "id AS", "id AS ;", "AS", "id,", "", "id)" } do
      fixture.raises("SQL", nil, shard.run, shard, "DELETE FROM t RETURNING " .. ending)
    end
    assert.equal(1, shard:first("SELECT count(*) AS n FROM t").n)
  end)

  it("may have parameters of every form, next to words", function()
    shard:run("INSERT INTO t VALUES (?, ?, ?)", { 1, "a", "b" })
    assert.same({ x = 7 }, shard:first("SELECT?AS x", { 7 }))
    assert.same({ id = 1 }, shard:first("SELECT id FROM t WHERE id=7 OR?LIKE?2 LIMIT?3", { "a", "a", 1 }))
    assert.same({ x = 5, y = 6 }, shard:first("SELECT $a::b(c) AS x, $::d AS y", { ["a::b(c)"] = 5, ["::d"] = 6 }))
    fixture.raises("SQL", nil, shard.run, shard, "SELECT :a:b", { a = 1, b = 2 })
  end)
end)
