-- What a shard of every kind does with a statement: results, parameters, refusals, errors, scripts, and its end.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local kinds = require "spec.support.kinds"

local raises = fixture.raises
local ALL_METHODS <const> = { "run", "first", "all", "each" }

-- A call through any of the methods that run a statement; each is run to its end.
local function call(shard, method, sql, params)
  if method ~= "each" then return shard[method](shard, sql, params) end
  local rows = {}
  for row in shard:each(sql, params) do rows[#rows + 1] = row end
  return rows
end

for _, kind in ipairs(kinds) do
  describe("a shard that is " .. kind.name, function()
    if kinds.skip(kind, it, function(why) pending(why) end) then return end
    setup(kind.start)
    teardown(kind.stop)
    local db, shard

    before_each(function()
      fixture.start()
      db = kinds.open(kind)
      shard = db:shard "a"
      shard:run "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT, age INTEGER CHECK (age < 200))"
    end)
    after_each(fixture.stop)

    local function insert(id, name, age)
      return shard:run("INSERT INTO users VALUES (?, ?, ?)", { id, name or collegedb.null, age or collegedb.null })
    end
    local function count() return shard:first("SELECT count(*) AS n FROM users").n end

    describe("returns", function()
      it("a result of a write", function()
        local result = insert("u1", "Ann", 30)
        assert.same({ true, {}, {} }, { result.success, result.results, result.columns })
        local meta = result.meta
        assert.same({ 1, 1, "a" }, { meta.changes, meta.last_row_id, meta.served_by })
        assert.equal("integer", math.type(meta.changes))
        assert.equal("integer", math.type(meta.last_row_id))
        assert.equal("float", math.type(meta.duration))
        assert(meta.duration >= 0 and meta.duration < 20000)
        for _, field in ipairs { "rows_read", "rows_written" } do
          assert.equal((kind.rest or kind.batches) and "integer" or nil, math.type(meta[field]), field)
        end
        for name in pairs(result) do assert.matches("^[srcm]%l+$", name) end
      end)

      it("a result of a read, with the columns in order", function()
        insert("u1", "Ann")
        local result = shard:run("SELECT name, age, id FROM users WHERE id = ?", { "u1" })
        assert.same({ { id = "u1", name = "Ann" } }, result.results)
        assert.same({ "name", "age", "id" }, result.columns)
        assert.same({ true, 0, "a" }, { result.success, result.meta.changes, result.meta.served_by })
      end)

      it("the names of columns also without a row", function()
        assert.same({ "id", "name", "age" }, shard:run("SELECT * FROM users").columns)
        assert.same({ "a", "b" }, shard:run("SELECT 1 AS a, id AS b FROM users WHERE id = ?", { "x" }).columns)
        -- Cloudflare tells them of a write too, its engine and a Worker's batch do not.
        if not kind.rest and not kind.batches then
          assert.same({ "id" }, shard:run("DELETE FROM users RETURNING id").columns)
        end
        assert.same({ "a" }, shard:run("WITH w AS (SELECT 1 AS a) SELECT a FROM w WHERE 0").columns)
      end)

      it("a row, or nil", function()
        insert("u1", "Ann", 30)
        assert.same({ id = "u1", name = "Ann", age = 30 }, shard:first("SELECT * FROM users WHERE id = ?", { "u1" }))
        assert.equal(1, select("#", shard:first "SELECT * FROM users WHERE 0"))
        assert.is_nil((shard:first "SELECT * FROM users WHERE 0"))
        assert.is_nil((shard:first "UPDATE users SET age = 31"))
        assert.equal(31, shard:first("SELECT age FROM users").age)
      end)

      it("an array of rows in their order", function()
        for i = 1, 3 do insert("x" .. i) end
        assert.same({ { id = "x3" }, { id = "x2" }, { id = "x1" } }, shard:all "SELECT id FROM users ORDER BY id DESC")
        assert.same({}, shard:all "SELECT * FROM users WHERE 0")
        assert.same({}, shard:all "DELETE FROM users")
        assert.equal(0, count())
      end)

      it("the rows of RETURNING through every method, and the whole statement is done", function()
        local sql = "INSERT INTO users (id, age) VALUES (?, 1), (? || 'b', 2) RETURNING id, age, age + 0.5 AS half"
        local function rows(id)
          return { { id = id, age = 1, half = 1.5 }, { id = id .. "b", age = 2, half = 2.5 } }
        end
        assert.same(rows "r1", shard:run(sql, { "r1", "r1" }).results)
        assert.same(rows("r2")[1], shard:first(sql, { "r2", "r2" }))
        assert.same(rows "r3", shard:all(sql, { "r3", "r3" }))
        assert.same(rows "r4", call(shard, "each", sql, { "r4", "r4" }))
        for _ in shard:each(sql, { "r5", "r5" }) do break end -- luacheck: ignore 512
        assert.equal(10, count())
        local result = shard:run("UPDATE users SET age = age + 1 WHERE id LIKE 'r1%' RETURNING id")
        assert.same({ 2, { "id" } }, { result.meta.changes, result.columns })
        assert.same({ id = "r5b" }, shard:first "DELETE FROM users WHERE id = 'r5b' RETURNING id")
        assert.equal(9, count())
      end)

      it("how many rows the statement itself changed", function()
        insert("u1", "Ann")
        local function changes(sql, params) return shard:run(sql, params).meta.changes end
        assert.equal(0, changes "SELECT * FROM users")
        assert.equal(2, changes "INSERT INTO users (id) VALUES ('u2'), ('u3')")
        assert.equal(0, changes "CREATE TABLE more (id TEXT PRIMARY KEY)")
        assert.equal(0, changes "INSERT OR IGNORE INTO users (id) VALUES ('u1')")
        assert.equal(0, changes("UPDATE users SET age = 1 WHERE id = ?", { "nobody" }))
        assert.equal(3, changes "UPDATE users SET age = age")
        assert.equal(0, changes "ALTER TABLE users ADD COLUMN extra")
        assert.equal(1, changes "INSERT INTO users (id) VALUES ('u1') ON CONFLICT DO UPDATE SET name = 'upsert'")
        assert.equal(0, changes "INSERT INTO users (id) VALUES ('u1') ON CONFLICT DO NOTHING")
        assert.equal(1, changes "REPLACE INTO users (id) VALUES ('u1')")
        assert.equal(0, changes "CREATE INDEX more_i ON users (name)")
        assert.equal(0, changes "DELETE FROM users WHERE 0")
        assert.equal(3, changes "DELETE FROM users")
        assert.equal(0, changes "DROP TABLE more")
      end)

      it("how many rows it changed, with or without those that triggers and cascades changed", function()
        shard:exec [[CREATE TABLE log (x);
          CREATE TRIGGER tr AFTER INSERT ON users BEGIN INSERT INTO log VALUES (1), (2); END;]]
        local changes = insert("u1").meta.changes
        assert.equal(kind.rest and 3 or 1, changes) -- D1 counts them
        assert.equal(0, shard:run("INSERT OR IGNORE INTO users (id) VALUES ('u1')").meta.changes)
      end)

      it("a row id only of an INSERT's", function()
        shard:run "CREATE TABLE n (id INTEGER PRIMARY KEY, v)"
        assert.equal(7, shard:run("INSERT INTO n VALUES (7, 'a')").meta.last_row_id)
        assert.equal(9, shard:run("INSERT INTO n (v) VALUES ('b'), ('c')").meta.last_row_id)
        assert.equal(-5, shard:run("INSERT INTO n VALUES (-5, 'a') RETURNING id").meta.last_row_id)
        local large = shard:run("INSERT INTO n VALUES (?, 'd')", { math.maxinteger }).meta.last_row_id
        assert.equal(not kind.rest and math.maxinteger or nil, large) -- rounded on its way from D1
      end)

      it("the last of columns that have one name, or says that they can not be told apart", function()
        local sql = "SELECT 1 AS v, 2 AS w, 3 AS v"
        if kind.rest then return raises("UNSUPPORTED", "AS", shard.run, shard, sql) end
        local result = shard:run(sql)
        assert.same({ { { v = 3, w = 2 } }, { "v", "w", "v" } }, { result.results, result.columns })
      end)

      it("columns of odd names", function()
        local result = shard:run([[SELECT 1+1, 5 AS "", 6 AS "a b", 7 AS "ä", 8 AS "q""`'", 9 AS "?1"]])
        assert.same({ { ["1+1"] = 2, [""] = 5, ["a b"] = 6, ["ä"] = 7, ["q\"`'"] = 8, ["?1"] = 9 } }, result.results)
        assert.same({ "1+1", "", "a b", "ä", "q\"`'", "?1" }, result.columns)
        result.columns[1] = "mine"
        assert.equal("1+1", shard:run([[SELECT 1+1]]).columns[1])
      end)

      it("a hundred columns", function()
        local parts, expected = {}, {}
        for i = 1, 100 do parts[i], expected["c" .. i] = i .. " AS c" .. i, i end
        assert.same(expected, shard:first("SELECT " .. table.concat(parts, ", ")))
      end)

      it("rows of statements of every shape", function()
        insert("u1", nil, 10)
        insert("u2", nil, 20)
        for sql, expected in pairs {
          ["WITH w(x) AS (SELECT age FROM users) SELECT x FROM w ORDER BY x DESC"] = { { x = 20 }, { x = 10 } },
          ["VALUES (1, 'a'), (2, 'b')"] = { { column1 = 1, column2 = "a" }, { column1 = 2, column2 = "b" } },
          ["SELECT 1 AS n UNION SELECT 2 ORDER BY n LIMIT 5;"] = { { n = 1 }, { n = 2 } },
          ["SELECT max(age) AS m, count(*) AS c FROM users GROUP BY id ORDER BY m"] =
            { { m = 10, c = 1 }, { m = 20, c = 1 } },
          ["-- one\n/* two */ SELECT 1 AS n /* three */ ; -- four"] = { { n = 1 } },
          ["SELECT ';' AS s, \"id\" FROM users -- ; ?\n WHERE age = 10"] = { { s = ";", id = "u1" } },
        } do
          assert.same(expected, shard:all(sql), sql)
        end
        assert.equal("id", shard:all("PRAGMA table_info(users)")[1].name)
        assert(#shard:all "EXPLAIN QUERY PLAN SELECT * FROM users" > 0)
        local delete = "WITH w(x) AS (SELECT 10) DELETE FROM users WHERE age IN (SELECT x FROM w)"
        assert.equal(1, shard:run(delete).meta.changes)
      end)
    end)

    describe("takes parameters", function()
      local null = collegedb.null
      for _, case in ipairs {
        { "by position", "SELECT ? AS a, ? AS b", { 1, 2 }, { a = 1, b = 2 } },
        { "by number", "SELECT ?2 AS a, ?1 AS b", { 1, 2 }, { a = 2, b = 1 } },
        { "by name", "SELECT :a AS a, @b AS b, $c AS c", { a = 1, b = 2, c = 3 }, { a = 1, b = 2, c = 3 } },
        { "by a name used twice", "SELECT :a AS a, :a AS b", { a = 1 }, { a = 1, b = 1 } },
        { "by position for named ones", "SELECT :x AS a, :y AS b", { 1, 2 }, { a = 1, b = 2 } },
        { "as an empty table", "SELECT 1 AS a", {}, { a = 1 } },
        { "with booleans and null", "SELECT ? AS a, ? AS b, ? AS c", { false, null, true }, { a = 0, c = 1 } },
        { "with null by name", "SELECT :a AS a, :b AS b", { a = null, b = 2 }, { b = 2 } },
        { "as strings, never as SQL", "SELECT ? AS a", { "'); DROP TABLE users; --" },
          { a = "'); DROP TABLE users; --" } },
        { "where no mark is in quotes", "SELECT '?' AS a, \"?1\" AS b, ? AS c FROM (SELECT 5 AS \"?1\") -- ?", { 1 },
          { a = "?", b = 5, c = 1 } },
      } do
        it(case[1], function()
          assert.same(case[4], shard:first(case[2], case[3]))
          assert.same({ case[4] }, shard:all(case[2], case[3]))
          assert.same({ case[4] }, shard:run(case[2], case[3]).results)
          assert.same({ case[4] }, call(shard, "each", case[2], case[3]))
        end)
      end

      it("more than a hundred", function()
        local marks, list = {}, {}
        for i = 1, 500 do marks[i], list[i] = "?", i end
        local sql = ("SELECT count(*) AS n FROM json_each('[1,2,501]') WHERE value IN (%s)"):format(
          table.concat(marks, ","))
        assert.equal(2, shard:first(sql, list).n)
      end)

      for _, case in ipairs {
        { "none", "SELECT ?", nil, "takes 1" },
        { "a string", "SELECT ?", "x", "table, not a? ?string" },
        { "a missing one", "SELECT ?, ?", { 1 }, "parameter 2 is missing" },
        { "a hole", "SELECT ?, ?, ?", { 1, nil, 3 }, "parameter 2 is missing" },
        { "a missing name", "SELECT :a, :b", { a = 1 }, "parameter :b is missing" },
        { "a superfluous one", "SELECT ?", { 1, 2 }, "parameter 2 is superfluous" },
        { "a superfluous name", "SELECT :a", { a = 1, b = 2 }, "parameter b is superfluous" },
        { "one for no parameter", "SELECT 1", { 1 }, "parameter 1 is superfluous" },
        { "a name beside positions", "SELECT ?", { 1, x = 2 }, "parameter x is superfluous" },
        { "position 0", "SELECT ?", { [0] = 1, [1] = 1 }, "parameter 0 is superfluous" },
        { "a table", "SELECT ?, ?", { 1, {} }, "parameter 2 is a table" },
        { "a function", "SELECT :f", { f = print }, "parameter :f is a function" },
        { "a NaN", "SELECT ?", { 0 / 0 }, "parameter 1 is NaN" },
      } do
        it("but not " .. case[1], function()
          for _, method in ipairs(ALL_METHODS) do
            local e = raises("USAGE", case[4], function() call(shard, method, case[2], case[3]) end)
            assert.equal(case[2], e.sql)
          end
          assert.equal(1, shard:first("SELECT 1 AS n").n)
        end)
      end

      it("and writes nothing when they are wrong", function()
        for _, params in ipairs { { "u" }, { "u", 1, 2, 3 }, { "u", {}, 5 } } do
          raises("USAGE", nil, shard.run, shard, "INSERT INTO users VALUES (?, ?, ?)", params)
        end
        assert.equal(0, count())
      end)
    end)

    describe("refuses", function()
      for _, case in ipairs {
        { "a second statement", "SELECT 1; SELECT 2", "USAGE", "one statement" },
        { "a second statement behind a comment", "SELECT 1 /* ; */ ; DELETE FROM users", "USAGE", "one statement" },
        { "what follows a NUL byte", "SELECT 1\0; DELETE FROM users", "USAGE" },
        { "BEGIN", "BEGIN", "USAGE", "transaction" },
        { "COMMIT behind a comment", "/* now */ commit", "USAGE", "transaction" },
        { "ROLLBACK", "ROLLBACK", "USAGE", "transaction" },
        { "a savepoint", "SAVEPOINT s", "USAGE", "transaction" },
        { "ATTACH", "ATTACH ':memory:' AS other", "USAGE", "ATTACH" },
        { "DETACH", "DETACH other", "USAGE", "ATTACH" },
        { "no statement", "", "USAGE", "no statement" },
        { "only a comment", "-- nothing", "USAGE", "no statement" },
        { "a syntax error", "SELEC 1", "SQL", "syntax error" },
        { "an unfinished statement", "SELECT * FROM", "SQL", "incomplete input" },
        { "an unknown column", "SELECT nope FROM users", "SQL", "no such column: nope" },
        { "an unknown table", "SELECT * FROM nope", "SQL", "no such table: nope" },
        { "an unknown table of a write", "INSERT INTO nope VALUES (1) RETURNING 1 AS x", "SQL", "no such table: nope" },
        { "loading an extension", "SELECT load_extension('x')", "SQL" },
        { "a write into the schema", "DELETE FROM sqlite_master", "SQL" },
        { "an overflow while it runs", "SELECT abs(-9223372036854775807 - 1) AS v", "SQL", "integer overflow" },
      } do
        it(case[1], function()
          insert("u1")
          for _, method in ipairs(ALL_METHODS) do
            local e = raises(case[3], case[4], function() call(shard, method, case[2]) end)
            if method ~= "each" then assert.equal(case[2], e.sql) end
            assert.equal("a", e.shard)
            assert.is_false(e.retryable)
          end
          assert.equal(1, count())
        end)
      end

      it("SQL that is no string, and a call with a dot", function()
        for _, sql in ipairs { 5, true, {} } do raises("USAGE", "SQL", shard.first, shard, sql) end
        raises("USAGE", "SQL", shard.first, shard)
        raises("USAGE", "`:`", function() shard.first "SELECT 1" end)
      end)

      it("what a constraint forbids, and leaves nothing of it", function()
        insert("u1", "Ann")
        local many = "INSERT INTO users (id, age) VALUES ('x', 1), ('y', 1), "
        for row, pattern in pairs { ["('u1', 1)"] = "UNIQUE", ["('z', 500)"] = "CHECK" } do
          for _, ending in ipairs { "", " RETURNING id" } do
            for _, method in ipairs(ALL_METHODS) do
              local sql = many .. row .. ending
              local e = raises("CONSTRAINT", pattern, function() call(shard, method, sql) end)
              assert.same({ "a", false }, { e.shard, e.retryable })
              if method ~= "each" then assert.equal(sql, e.sql) end
            end
          end
        end
        assert.equal(1, count())
      end)

      it("what a trigger raises", function()
        shard:run [[CREATE TRIGGER never BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'not; today'); END]]
        insert("u1")
        raises("CONSTRAINT", "not; today", shard.run, shard, "UPDATE users SET age = 1")
        raises("CONSTRAINT", "not; today", shard.first, shard, "UPDATE users SET age = 1 RETURNING age")
        assert.is_nil(shard:first("SELECT age FROM users").age)
        local long = "CREATE TRIGGER long BEFORE DELETE ON users BEGIN SELECT RAISE(ABORT, '%s'); END"
        shard:run(long:format(("long "):rep(300)))
        raises("CONSTRAINT", "long long", shard.run, shard, "DELETE FROM users")
      end)

      it("a value that is too large", function()
        raises("TOO_LARGE", nil, shard.first, shard, "SELECT zeroblob(1100000000) AS v")
        if kind.limited then
          raises("TOO_LARGE", nil, shard.first, shard, ("SELECT '%s' AS v"):format(("x"):rep(100001)))
          raises("TOO_LARGE", nil, shard.first, shard, "SELECT ? AS v", { ("x"):rep(2000001) })
        end
        assert.equal(90000, #shard:first(("SELECT '%s' AS v"):format(("x"):rep(90000))).v)
        assert.equal(1900000, #shard:first("SELECT ? AS v", { ("x"):rep(1900000) }).v)
      end)
    end)

    it("follows a table as its columns change", function()
      local sql = "SELECT * FROM t"
      raises("SQL", "no such table", shard.first, shard, sql)
      shard:run "CREATE TABLE t (a, b)"
      assert.same({ "a", "b" }, shard:run(sql).columns)
      shard:run "INSERT INTO t VALUES (1, 2.0)"
      assert.same({ a = 1, b = 2.0 }, shard:first(sql))
      shard:run "ALTER TABLE t RENAME COLUMN a TO c"
      assert.same({ c = 1, b = 2.0 }, shard:first(sql))
      shard:run "ALTER TABLE t ADD COLUMN d DEFAULT 'nine'"
      assert.same({ { c = 1, b = 2.0, d = "nine" } }, shard:all(sql))
      shard:exec "ALTER TABLE t DROP COLUMN b"
      local result = shard:run(sql)
      assert.same({ { "c", "d" }, { { c = 1, d = "nine" } } }, { result.columns, result.results })
      shard:run "DROP TABLE t"
      raises("SQL", "no such table", shard.all, shard, sql)
    end)
  end)
end
