-- Writes of every shape on shards of every kind: what RETURNING gives, in whatever way it is written, is what a SQLite
-- file in memory gives, and each write is done once.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local kinds = require "spec.support.kinds"

local SCHEMA <const> = {
  "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, v BLOB, \"returning\" TEXT DEFAULT 'd', \"a b\" REAL)",
  "CREATE TABLE other (id INTEGER PRIMARY KEY, name TEXT)",
  "INSERT INTO other VALUES (1, 'x'), (2, 'y'), (3, 'z')",
  "CREATE TABLE made (id INTEGER PRIMARY KEY, n INTEGER, twice INTEGER AS (n * 2), thrice AS (n * 3) STORED)",
  "CREATE VIEW seen AS SELECT id, name FROM t",
  [[CREATE TRIGGER seen_insert INSTEAD OF INSERT ON seen BEGIN
    INSERT INTO t (id, name) VALUES (NEW.id, 'seen; ' || NEW.name); END]],
}

-- In turn, each with what the ones before have left.
local STATEMENTS <const> = {
  { "INSERT INTO t (id, name, v) VALUES (1, 'one', ?) RETURNING id, name, v", { 1.5 } },
  { "INSERT INTO t (name) VALUES (?), (?) RETURNING id", { "two", "thr\0ee" } },
  { "INSERT INTO t DEFAULT VALUES RETURNING id, \"returning\"" },
  { "INSERT INTO t (id, name) SELECT id + 10, name FROM other WHERE id > ? RETURNING id, name", { 1 } },
  { "insert or ignore into t (id) values (1), (20) returning id" },
  { "REPLACE INTO t (id, name) VALUES (1, 'ein''s') RETURNING id, name, v IS NULL AS empty" },
  { "INSERT INTO t (id, name) VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET v = excluded.name RETURNING v, id" },
  { "INSERT INTO t (id) VALUES (1) ON CONFLICT DO NOTHING RETURNING id" },
  { "UPDATE t SET v = ?1, \"a b\" = ?2 WHERE id = 1 RETURNING v, \"a b\", ?1 AS p, \"a b\" + 1 AS more", { "t", 2.5 } },
  { "UPDATE t SET v = o.name FROM other AS o WHERE o.id = t.id RETURNING t.id, v" },
  { "UPDATE t SET v = 1.5 WHERE id = 2 RETURNING id i, t.name, \"t\".\"name\" AS q, v \"w, x\", id + 1 more, "
    .. "name IS NULL, CASE WHEN id = 2 THEN 'two' END, CASE id WHEN 2 THEN 5 END e, name COLLATE NOCASE, id NOT NULL, "
    .. "lower(name) n, 7 seven, ? p, id IN (1, 2), name NOTNULL, -id, 'x' || name" , { 3 } },
  { "UPDATE t SET v = 'returning name, id' WHERE id = 11 RETURNING 'a, b' AS s, (1, 2) = (1, 2) AS b, max(1, 2) AS m" },
  { "UPDATE t SET v = (SELECT count(*) FROM other) WHERE id < 3 RETURNING id, (SELECT max(name) FROM other) AS o, v" },
  { "UPDATE t SET v = x'00ff' WHERE id = 12 RETURNING v, typeof(v) AS k, hex(v) AS h, NULL AS none" },
  { "UPDATE t SET v = 9007199254740993 WHERE id = 12 RETURNING v, v + 0.5 AS f, -v AS m" },
  { "WITH w(i) AS (VALUES (2), (3)) UPDATE t SET v = 'w' WHERE id IN (SELECT i FROM w) RETURNING id -- end" },
  { "WITH w AS (SELECT 30 AS i) INSERT INTO t (id, name) SELECT i, 'w' FROM w RETURNING id, name; /* end */" },
  { "UPDATE t SET name = upper(name) WHERE name LIKE '%e%' RETURNING id, name, length(name) AS \"l, e\"" },
  { "UPDATE t SET v = 1 WHERE 0 RETURNING id" },
  { "INSERT INTO made (n) VALUES (21), (?) RETURNING *", { 4 } },
  { "UPDATE made SET n = n + 1 RETURNING *, n AS again, thrice / 3 = n AS right" },
  { "DELETE FROM t WHERE id > ? RETURNING *", { 10 } },
  { "DELETE FROM t WHERE id = :id RETURNING CASE WHEN id = :id THEN 'it' ELSE 'other' END AS w, `returning`",
    { id = 1 } },
  { "INSERT INTO seen VALUES (40, 'by view')" },
  { "DELETE FROM t WHERE id = 40 RETURNING name" },
  { "DELETE FROM t RETURNING [id], \"name\" AS 'n'" },
}

for _, kind in ipairs(kinds) do
  describe("a write on " .. kind.name, function()
    if kinds.skip(kind, it, function(why) pending(why) end) then return end
    setup(kind.start)
    teardown(kind.stop)
    local shard, file

    before_each(function()
      fixture.start()
      shard, file = kinds.open(kind):shard "a", core.sqlite(":memory:", {})
      fixture.track { close = function() core.close(file) end }
      for _, sql in ipairs(SCHEMA) do
        file:run(sql)
        shard:run(sql)
      end
    end)
    after_each(fixture.stop)

    local ALL <const> = "SELECT *, typeof(v) AS kind FROM t ORDER BY id"

    local function sorted(rows)
      local lines = {}
      for i, row in ipairs(rows) do
        local parts = {}
        for name, value in pairs(row) do parts[#parts + 1] = ("%s=%s %q"):format(name, math.type(value), value) end
        table.sort(parts)
        lines[i] = table.concat(parts, " ")
      end
      table.sort(lines)
      return lines
    end

    local function each(handle, sql, params)
      local rows = {}
      for row in handle:each(sql, params) do rows[#rows + 1] = row end
      return rows
    end

    for _, method in ipairs { "all", "run", "each" } do
      it("gives the same by " .. method, function()
        for _, statement in ipairs(STATEMENTS) do
          local sql, params = statement[1], statement[2]
          local expected = file:run(sql, params)
          local found
          if method == "run" then
            local result = shard:run(sql, params)
            found = result.results
            if not sql:find "INTO seen" then assert.equal(expected.meta.changes, result.meta.changes, sql) end
            if #found > 0 then assert.same(expected.columns, result.columns, sql) end
          else
            found = method == "all" and shard:all(sql, params) or each(shard, sql, params)
          end
          assert.same(sorted(expected.results), sorted(found), sql)
          assert.same(sorted(file:all(ALL)), sorted(shard:all(ALL)), sql)
        end
      end)
    end

    it("gives the first row, and is done as a whole", function()
      for _, statement in ipairs(STATEMENTS) do
        local expected, found = file:all(statement[1], statement[2]), shard:first(statement[1], statement[2])
        assert.equal(#expected == 0, found == nil, statement[1])
        local any = found and table.concat(sorted(expected), "\n"):find(sorted({ found })[1], 1, true)
        assert(not found or any, statement[1])
        assert.same(sorted(file:all(ALL)), sorted(shard:all(ALL)), statement[1])
      end
    end)

    it("carries large values, or says that they are too large", function()
      for size, value in pairs { [900000] = collegedb.blob(("\0\255"):rep(450000)), [1800000] = ("x"):rep(1800000),
        [600000] = ("\u{e4}"):rep(300000) } do
        shard:run("INSERT INTO t (id, v) VALUES (1, ?)", { value })
        assert.equal(size, #shard:first("SELECT v FROM t WHERE id = 1").v)
        assert.equal(size, #shard:first("DELETE FROM t WHERE id = 1 RETURNING v").v)
      end
      if not (kind.rest or kind.batches) then return end
      fixture.raises("TOO_LARGE", nil, shard.run, shard, "INSERT INTO t (v) VALUES (?)",
        { collegedb.blob(("\0"):rep(1200000)) })
      shard:run "INSERT INTO t (id, v) VALUES (1, zeroblob(1200000))"
      fixture.raises("TOO_LARGE", nil, shard.first, shard, "SELECT v FROM t WHERE id = 1")
      assert.equal(1200000, shard:first("SELECT length(v) AS n FROM t WHERE id = 1").n)
      assert.equal(600000, #shard:first("SELECT substr(v, 1, 600000) AS v FROM t WHERE id = 1").v)
    end)

    it("fits into as many columns as D1 has", function()
      local names, marks, values, expected = {}, {}, {}, {}
      for i = 1, 100 do
        names[i], marks[i], values[i] = "c" .. i, "?", i % 3 == 0 and i / 2 or i % 3 == 1 and i or "v" .. i
        expected["c" .. i] = values[i]
      end
      shard:run(("CREATE TABLE wide (%s)"):format(table.concat(names, ", ")))
      local insert = ("INSERT INTO wide VALUES (%s) RETURNING *"):format(table.concat(marks, ", "))
      assert.same({ expected }, shard:all(insert, values))
      assert.same({ expected }, shard:all "SELECT * FROM wide")
      assert.same({ expected }, each(shard, "SELECT * FROM wide"))
      assert.same({ expected }, each(shard, "SELECT * FROM wide WHERE c1 = ?", { 1 }))
    end)
  end)
end
