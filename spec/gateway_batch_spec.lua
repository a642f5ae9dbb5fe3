-- Batches on a D1 database behind the gateway: what they give is what a file's transaction gives.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"

describe("a batch behind the gateway", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  local worker, far, near

  setup(function() worker = gateway.start { databases = { "A" } } end)
  teardown(function() worker.stop() end)
  before_each(function()
    fixture.start()
    far = collegedb.gateway({ url = worker.url, token = gateway.token }):shard("A"):open "far"
    near = core.sqlite(fixture.path "near.db", { name = "near" })
    for _, shard in ipairs { far, near } do
      shard:exec "DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, v, w TEXT UNIQUE)"
    end
  end)
  after_each(function()
    core.close(far)
    core.close(near)
    net.close()
    fixture.stop()
  end)

  local batches <const> = {
    { { "INSERT INTO t VALUES (1, 1.0, 'a'), (2, ?, 'b')", { 9007199254740993 } }, { "SELECT * FROM t ORDER BY id" } },
    { { "SELECT id AS x, v AS x, w AS x FROM t" }, { "SELECT 1 AS a, 2 AS a LIMIT 1" },
      { "SELECT 5 AS '5', 1 AS '1'" } },
    { { "UPDATE t SET v = ? RETURNING *, v AS '7', id", { collegedb.blob "\0\255" } } },
    { { "INSERT INTO t (w) VALUES ('c') RETURNING id" }, { "SELECT last_insert_rowid() AS n, count(*) AS c FROM t" } },
    { { "DELETE FROM t WHERE id = ?", { -1 } }, { "UPDATE t SET w = w || 'x' WHERE id <= ?", { 2 } } },
    { { "WITH n AS (SELECT 1 AS one) SELECT one FROM n WHERE 0" }, { "VALUES (1, 'x')" } },
    { { "SELECT :a AS p, @b AS q, $c AS r", { a = 1 << 62, b = 0.1, c = "\u{e4}" } } },
  }

  it("gives the same results as on a file, values, names and counts", function()
    for i, batch in ipairs(batches) do
      local expected, found = near:batch(batch), far:batch(batch)
      for n, result in ipairs(expected) do
        local label = ("batch %d, statement %d"):format(i, n)
        assert.same(result.results, found[n].results, label)
        if #result.results > 0 then assert.same(result.columns, found[n].columns, label) end
        assert.equal(result.meta.changes, found[n].meta.changes, label)
      end
      assert.equal(#expected, #found)
    end
  end)

  it("leaves nothing of one that fails", function()
    for _, batch in ipairs {
      { { "INSERT INTO t VALUES (1, 1, 'a')" }, { "INSERT INTO t VALUES (1, 1, 'b')" } },
      { { "INSERT INTO t VALUES (1, 1, 'a')" }, { "INSERT INTO nowhere VALUES (1)" } },
      { { "INSERT INTO t VALUES (1, 1, 'a')" }, { "SELECT abs(-9223372036854775807 - 1) AS n" } },
      { { "DROP TABLE t" }, { "INSERT INTO t VALUES (1, 1, 'b')" } },
    } do
      assert.is_false(pcall(far.batch, far, batch))
      assert.is_false(pcall(near.batch, near, batch))
      assert.same({}, far:all "SELECT * FROM t")
    end
    fixture.raises("USAGE", nil, far.batch, far, { { "INSERT INTO t (v) VALUES (1)" }, { "SELECT ?", { 1, 2 } } })
    fixture.raises("USAGE", nil, far.batch, far, { { "INSERT INTO t (v) VALUES (1)" }, { "BEGIN" } })
    assert.same({}, far:all "SELECT * FROM t")
  end)

  it("learns anew when another program has changed the columns", function()
    local select = { { "UPDATE t SET v = v" }, { "SELECT * FROM t" } }
    far:run "INSERT INTO t VALUES (1, 2, 'a')"
    assert.same({ "id", "v", "w" }, far:batch(select)[2].columns)
    local other = collegedb.gateway({ url = worker.url, token = gateway.token }):shard("A"):open "other"
    other:run "ALTER TABLE t ADD COLUMN more DEFAULT 7"
    core.close(other)
    assert.same({ { id = 1, v = 2, w = "a", more = 7 } }, far:batch(select)[2].results)
  end)
end)
