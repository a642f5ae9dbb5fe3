-- each on a shard of every kind: the right rows in the right order, however many they are, whatever the loop does
-- meanwhile and however it ends.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local kinds = require "spec.support.kinds"

local raises = fixture.raises

-- A row as one string, so that rows may be compared in any order.
local function line(row)
  local parts = {}
  for name, value in pairs(row) do parts[#parts + 1] = ("%s=%q"):format(name, value) end
  table.sort(parts)
  return table.concat(parts, "\0")
end

-- So many rows (i, i mod 7, a text) in one statement.
local FILL <const> = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) "
  .. "INSERT INTO n (id, kind, name) SELECT i, i % 7, 'name ' || i FROM c"

for _, kind in ipairs(kinds) do
  describe("each on " .. kind.name, function()
    if kinds.skip(kind, it, function(why) pending(why) end) then return end
    setup(kind.start)
    teardown(kind.stop)
    local db, shard

    before_each(function()
      fixture.start()
      db = kinds.open(kind)
      shard = db:shard "a"
      shard:run "CREATE TABLE n (id INTEGER PRIMARY KEY, kind INTEGER, name TEXT)"
    end)
    after_each(fixture.stop)

    local ALL <const> = "SELECT id FROM n ORDER BY id"

    local function ids(sql, params)
      local list = {}
      for row in shard:each(sql or ALL, params) do list[#list + 1] = row.id end
      return list
    end

    local function range(from, to, step)
      local list = {}
      for i = from, to, step or 1 do list[#list + 1] = i end
      return list
    end

    local function fill(count) assert.equal(count, shard:run(FILL, { count }).meta.changes) end

    it("gives every row of thousands once, in every order that is asked for", function()
      fill(5000)
      assert.same(range(1, 5000), ids())
      assert.same(range(5000, 1, -1), ids "SELECT id FROM n ORDER BY id DESC")
      assert.same(range(2, 5000), ids("SELECT id FROM n WHERE id > ? ORDER BY id", { 1 }))
      local seen = {}
      for row in shard:each "SELECT * FROM n" do
        assert.is_nil(seen[row.id])
        seen[row.id] = true
        assert.equal("name " .. row.id, row.name)
        assert.equal(row.id % 7, row.kind)
      end
      assert.equal(5000, #seen)
    end)

    it("gives the rows of every statement as all does", function()
      fill(2500)
      for _, sql in ipairs {
        "SELECT id, kind FROM n ORDER BY kind, id DESC",
        "SELECT kind, name, id FROM n ORDER BY name",
        "SELECT kind, count(*) AS c, min(id) AS m FROM n GROUP BY kind ORDER BY kind DESC",
        "SELECT id FROM n ORDER BY id LIMIT 1700",
        "SELECT id FROM n ORDER BY id LIMIT 1200 OFFSET 1000",
        "SELECT id FROM n ORDER BY id LIMIT 0",
        "SELECT a.id AS a, b.id AS b FROM n a JOIN n b ON b.id = a.id + 1 ORDER BY a.id DESC",
        "SELECT a.id AS a, b.id AS b FROM n a JOIN n b ON b.kind = a.kind WHERE a.id < 5 ORDER BY 1, 2",
        "SELECT DISTINCT kind FROM n ORDER BY kind",
        "SELECT id FROM n WHERE kind = 1 UNION ALL SELECT -id FROM n WHERE kind = 2 ORDER BY 1",
        "WITH w AS (SELECT id, name FROM n WHERE kind < 4) SELECT * FROM w ORDER BY id",
        "SELECT id, sum(id) OVER (ORDER BY id) AS s FROM n ORDER BY id",
        "SELECT id AS x, id + 0.5 AS y, NULL AS z, x'00ff' AS b FROM n ORDER BY id",
        "SELECT i.value AS v, i.key AS k FROM json_each('[5,4,3]') i",
        "VALUES (3), (1), (2)",
      } do
        local expected, rows = shard:all(sql), {}
        for row in shard:each(sql) do rows[#rows + 1] = row end
        assert.equal(#expected, #rows, sql)
        for i, row in ipairs(rows) do assert.same(expected[i], row, sql) end
      end
    end)

    it("gives the rows of tables and queries of every shape as all does", function()
      shard:exec [[
        CREATE TABLE own (_rowid_ TEXT, rowid TEXT, oid TEXT);
        CREATE TABLE some (_rowid_ TEXT, v);
        CREATE TABLE keyed (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
        CREATE TABLE "where" ("from" TEXT, "order by" INTEGER);
        CREATE TABLE edges (id INTEGER PRIMARY KEY, v);
        CREATE VIEW seen AS SELECT id, kind FROM n WHERE kind < 3;
        INSERT INTO edges VALUES (-9223372036854775808, 'min'), (-1, 'n'), (0, 'z'), (9223372036854775807, 'max');]]
      fill(2000)
      shard:run "INSERT INTO own SELECT 'r' || id, 'same', name FROM n"
      shard:run "INSERT INTO some SELECT 'same', id FROM n"
      shard:run "INSERT INTO keyed SELECT name, 'b' || id FROM n"
      shard:run "INSERT INTO \"where\" SELECT name, id FROM n"
      for sql, params in pairs {
        ["SELECT * FROM own"] = {}, ["SELECT oid, _rowid_ FROM own WHERE rowid = 'same'"] = {},
        ["SELECT * FROM some"] = {}, ["SELECT v FROM some AS s WHERE s.v > 3"] = {}, ["SELECT * FROM keyed"] = {},
        ["SELECT * FROM seen"] = {}, ["SELECT * FROM edges"] = {}, ["SELECT v FROM edges WHERE id <> 0"] = {},
        ["SELECT * FROM \"where\""] = {}, ["SELECT \"order by\" FROM \"where\" w WHERE w.\"order by\" % 2"] = {},
        ["SELECT \"from\" FROM [where] AS \"a b\" WHERE \"a b\".\"order by\" > ?"] = { 7 },
        ["SELECT ?2 AS p, id FROM n WHERE id > ?1 OR id = ?2;  -- the end; ?"] = { 5, 2 },
        ["SELECT :a AS a, id FROM n WHERE kind IN (:a, :b)"] = { a = 1, b = 6 },
        ["SELECT id FROM n WHERE id IN (SELECT id FROM n ORDER BY id DESC LIMIT 1500)"] = {},
        ["SELECT id FROM n WHERE kind = 1 OR kind = 2 /* OR */ AND id > 100 -- x"] = {},
        ["SELECT 'a FROM b ORDER BY c' AS o, id FROM n WHERE name <> ' LIMIT 1'"] = {},
        ["SELECT CASE WHEN id > 7 THEN 'more' ELSE 'less' END AS c, id FROM n"] = {},
        ["SELECT count(*) AS c FROM n"] = {}, ["SELECT max(id) AS m, name FROM n"] = {},
        ["SELECT name FROM pragma_table_info('n')"] = {}, ["SELECT id FROM main.n"] = {},
        ["SELECT id FROM (SELECT id FROM n WHERE kind = 3)"] = {}, ["SELECT ALL id FROM n NOT INDEXED"] = {},
        ["SELECT a.id AS i, b.kind AS k FROM n a, n b WHERE a.id = b.id"] = {},
        ["SELECT id FROM n WHERE id > 1999"] = {},
        ["SELECT id AS \"_collegedb_row\", rowid AS r, kind FROM n"] = {}, ["SELECT DISTINCT kind, name FROM n"] = {},
        ["select id from n where exists (select 1 from n) and not (kind = 2)"] = {},
        ["SELECT id FROM n WHERE kind BETWEEN 1 AND 2 EXCEPT SELECT 8"] = {}, ["SELECT id FROM n LIMIT 1200"] = {},
      } do
        local expected, rows = {}, {}
        for _, row in ipairs(shard:all(sql, params)) do expected[#expected + 1] = line(row) end
        for row in shard:each(sql, params) do rows[#rows + 1] = line(row) end
        table.sort(expected)
        table.sort(rows)
        assert.equal(#expected, #rows, sql)
        for i, row in ipairs(rows) do assert.equal(expected[i], row, sql) end
      end
    end)

    it("gives its four values, each row a table of its own, and no row after the end", function()
      fill(3)
      local values = table.pack(shard:each(ALL))
      assert.equal(4, values.n)
      local step, cursor, start = values[1], values[2], values[3]
      local closing <close> = values[4]
      assert.is_not_nil(closing)
      local one, two = step(cursor, start), step(cursor)
      assert.same({ 1, 2 }, { one.id, two.id })
      assert.equal(3, step(cursor).id)
      for _ = 1, 3 do assert.is_nil(step(cursor)) end
      for _ in shard:each "SELECT * FROM n WHERE 0" do assert(false, "no row was expected") end
    end)

    it("may be left early, by break, return, goto and an error, and the shard goes on", function()
      fill(3000)
      for row in shard:each(ALL) do
        if row.id == 2 then break end
      end
      local function find(id)
        for row in shard:each(ALL) do
          if row.id == id then return row.id end
        end
      end
      assert.equal(2999, find(2999))
      local mine = { "mine" }
      local ok, raised = pcall(function()
        for row in shard:each(ALL) do
          if row.id == 1500 then error(mine) end
        end
      end)
      assert.same({ false, true }, { ok, raised == mine })
      for _ = 1, 20 do
        local step, cursor = shard:each(ALL)
        step(cursor)
      end
      collectgarbage()
      collectgarbage()
      shard:run "DROP TABLE n"
      raises("SQL", "no such table", ids)
    end)

    it("may stand inside itself, and beside other calls", function()
      fill(40)
      local count = 0
      for outer in shard:each(ALL) do
        for inner in shard:each(ALL) do
          if inner.id == outer.id then count = count + 1 end
        end
        assert.equal(1, shard:first(ALL).id)
        if outer.id == 20 then assert.equal(40, #shard:all(ALL)) end
      end
      assert.equal(40, count)
    end)

    it("lets the loop change what it has seen, and sees every other row once", function()
      fill(3000)
      local seen = 0
      for row in shard:each "SELECT id, kind FROM n ORDER BY id" do
        seen = seen + 1
        assert.equal(seen, row.id)
        if seen % 500 == 1 then
          shard:run("UPDATE n SET kind = 99 WHERE id <= ?", { row.id })
          shard:run("INSERT INTO n VALUES (?, 5, 'new')", { -seen })
        end
      end
      assert.equal(3000, seen)
      assert.equal(3006, shard:first("SELECT count(*) AS n FROM n").n)
    end)

    it("lets the loop delete what it has seen, and sees every other row once", function()
      fill(3000)
      local seen = 0
      for row in shard:each(ALL) do
        seen = seen + 1
        assert.equal(seen, row.id)
        if seen % 300 == 0 then shard:run("DELETE FROM n WHERE id <= ?", { row.id }) end
      end
      assert.equal(3000, seen)
      assert.equal(0, shard:first("SELECT count(*) AS n FROM n").n)
    end)

    it("keeps its parameters, whatever the loop does with their table", function()
      fill(2500)
      local function text() return ("x"):rep(60) end
      local params, seen = { text(), collegedb.blob(text() .. "b") }, 0
      for row in shard:each("SELECT id, ?1 AS t, ?2 AS b FROM n ORDER BY id", params) do
        seen, params[1], params[2] = seen + 1, nil, nil
        if seen % 1000 == 0 then collectgarbage() end
        assert.same({ id = seen, t = text(), b = text() .. "b" }, row)
      end
      assert.equal(2500, seen)
    end)

    it("does a write once, with all its rows", function()
      fill(2500)
      assert.equal(2500, #ids "UPDATE n SET kind = kind + 100 RETURNING id")
      assert.equal(0, shard:first("SELECT count(*) AS n FROM n WHERE kind < 100 OR kind > 106").n)
      for _ in shard:each "UPDATE n SET kind = 0 RETURNING id" do break end -- luacheck: ignore 512
      assert.equal(2500, shard:first("SELECT count(*) AS n FROM n WHERE kind = 0").n)
      assert.same({}, ids "UPDATE n SET kind = 1")
      assert.equal(2500, shard:first("SELECT sum(kind) AS n FROM n").n)
      assert.equal(2500, #ids "DELETE FROM n RETURNING id")
      assert.same({}, ids())
    end)

    it("raises what fails in the middle", function()
      fill(3000)
      local seen = 0
      raises("SQL", "integer overflow", function()
        local sql = "SELECT id, abs(CASE id WHEN 2900 THEN -9223372036854775807 - 1 ELSE 5 END) AS v FROM n "
          .. "ORDER BY id"
        for row in shard:each(sql) do
          seen = seen + 1
          assert.equal(seen, row.id)
        end
      end)
      assert(seen < 2900)
      shard:run "DROP TABLE n"
    end)

    it("is over with its database", function()
      fill(3000)
      local step, cursor = shard:each(ALL)
      assert.equal(1, step(cursor).id)
      db:close()
      if kind.borrowed then core.close(shard) end
      raises("CLOSED", nil, function()
        for _ = 1, 3001 do step(cursor) end
      end)
    end)

    it("runs in coroutines that take turns", function()
      fill(1500)
      local function walk(sql)
        return coroutine.wrap(function()
          for row in shard:each(sql) do coroutine.yield(row.id) end
        end)
      end
      local up, down = walk(ALL), walk "SELECT id FROM n ORDER BY id DESC"
      for i = 1, 1500 do
        assert.equal(i, up())
        assert.equal(1501 - i, down())
      end
      assert.is_nil(up())
      assert.is_nil(down())
    end)
  end)
end
