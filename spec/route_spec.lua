-- Routed calls: what each returns, how values travel, and what a wrong call gets.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("a routed call", function()
  local db

  before_each(function()
    fixture.start()
    db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT, age INTEGER);
      CREATE TABLE any (id TEXT, v)]]
  end)
  after_each(fixture.stop)

  local function insert(id, name, age)
    return db:insert(id, "INSERT INTO users VALUES (?, ?, ?)", { id, name or collegedb.null, age or collegedb.null })
  end

  describe("returns", function()
    it("a result from insert", function()
      local result = insert("u1", "Ann", 30)
      assert.is_true(result.success)
      assert.same({}, result.results)
      assert.same({}, result.columns)
      assert.equal(1, result.meta.changes)
      assert.equal("integer", math.type(result.meta.last_row_id))
      assert.equal(1, result.meta.last_row_id)
      assert.equal("float", math.type(result.meta.duration))
      assert.is_true(result.meta.duration >= 0 and result.meta.duration < 10000)
      assert.equal(db:locate "u1", result.meta.served_by)
    end)

    it("a result with rows and column names from select_by_primary_key", function()
      insert("u1", "Ann")
      local result = db:select_by_primary_key("u1", "SELECT name, age, id FROM users WHERE id = ?", { "u1" })
      assert.same({ { id = "u1", name = "Ann" } }, result.results)
      assert.same({ "name", "age", "id" }, result.columns)
      assert.equal(0, result.meta.changes)
    end)

    it("the names of columns also without a row", function()
      assert.same({ "id", "name", "age" }, db:run("u1", "SELECT * FROM users").columns)
    end)

    it("how many rows update_by_primary_key and delete_by_primary_key changed", function()
      insert("u1", "Ann")
      local update = "UPDATE users SET age = 31 WHERE id = ?"
      assert.equal(1, db:update_by_primary_key("u1", update, { "u1" }).meta.changes)
      assert.equal(0, db:update_by_primary_key("u2", update, { "u2" }).meta.changes)
      assert.equal(1, db:delete_by_primary_key("u1", "DELETE FROM users WHERE id = ?", { "u1" }).meta.changes)
      assert.equal(0, db:delete_by_primary_key("u1", "DELETE FROM users WHERE id = ?", { "u1" }).meta.changes)
    end)

    it("no changes from a statement that changes none, after one that did", function()
      insert("u1", "Ann")
      assert.equal(0, db:run("u1", "CREATE TABLE more (id TEXT PRIMARY KEY)").meta.changes)
      assert.equal(0, db:run("u1", "SELECT * FROM users").meta.changes)
      assert.equal(0, db:run("u1", "INSERT OR IGNORE INTO users (id) VALUES ('u1')").meta.changes)
    end)

    it("the rows of the statement's own changes, not of its triggers", function()
      local shard = db:shard(db:locate "u1")
      shard:exec "CREATE TRIGGER tr AFTER INSERT ON users BEGIN INSERT INTO any VALUES (1, 1), (2, 2); END"
      assert.equal(1, insert("u1").meta.changes)
      assert.equal(2, shard:first("SELECT count(*) AS n FROM any").n)
    end)

    it("a row from first, or nil", function()
      insert("u1", "Ann", 30)
      assert.same({ id = "u1", name = "Ann", age = 30 }, db:first("u1", "SELECT * FROM users WHERE id = ?", { "u1" }))
      assert.is_nil(db:first("u1", "SELECT * FROM users WHERE id = 'nobody'"))
      assert.is_nil(db:first("u1", "UPDATE users SET age = 31"))
      assert.equal(1, select("#", db:first("u1", "SELECT * FROM users WHERE id = 'nobody'")))
    end)

    it("an array from all", function()
      local shard = db:shard(db:locate "u1")
      for i = 1, 3 do shard:run("INSERT INTO users (id) VALUES (?)", { "x" .. i }) end
      assert.same({ { id = "x1" }, { id = "x2" }, { id = "x3" } }, db:all("u1", "SELECT id FROM users ORDER BY id"))
      assert.same({}, db:all("u1", "SELECT id FROM users WHERE id = 'nobody'"))
    end)

    it("the row of RETURNING through first, all, each and run, and does the whole statement", function()
      local sql = "INSERT INTO users (id, age) VALUES (?, 1), (? || 'b', 2) RETURNING id, age"
      assert.same({ id = "r1", age = 1 }, db:first("k", sql, { "r1", "r1" }))
      assert.same({ { id = "r2", age = 1 }, { id = "r2b", age = 2 } }, db:all("k", sql, { "r2", "r2" }))
      local seen = {}
      for row in db:each("k", sql, { "r3", "r3" }) do seen[#seen + 1] = row.id end
      assert.same({ "r3", "r3b" }, seen)
      for _ in db:each("k", sql, { "r4", "r4" }) do break end -- luacheck: ignore 512
      local result = db:run("k", sql, { "r5", "r5" })
      assert.equal(2, #result.results)
      assert.equal(2, result.meta.changes)
      assert.same({ "id", "age" }, result.columns)
      assert.equal(10, db:count "users")
    end)
  end)

  describe("carries", function()
    -- What it shows, the value given, the value that comes back (the same, if it is not there), SQLite's typeof.
    local cases = {
      { "an integer", 42, nil, "integer" },
      { "the largest integer", math.maxinteger, nil, "integer" },
      { "the smallest integer", math.mininteger, nil, "integer" },
      { "an integer beyond 2^53", 9007199254740993, nil, "integer" },
      { "a float", 0.1, nil, "real" },
      { "a float with an integral value", 1.0, nil, "real" },
      { "negative zero", -0.0, nil, "real" },
      { "a large float", 1e300, nil, "real" },
      { "the smallest float", 5e-324, nil, "real" },
      { "infinity", math.huge, nil, "real" },
      { "text", "grüße", nil, "text" },
      { "the empty text", "", nil, "text" },
      { "text that looks like a number", "17", nil, "text" },
      { "text with NUL bytes", "a\0b\0", nil, "text" },
      { "text that is no UTF-8", "\xff\xfe\x80", nil, "text" },
      { "long text", ("long "):rep(100000), nil, "text" },
      { "a blob", collegedb.blob "\1\2\3", "\1\2\3", "blob" },
      { "a blob with NUL bytes", collegedb.blob "\0a\0", "\0a\0", "blob" },
      { "an empty blob", collegedb.blob "", "", "blob" },
      { "true", true, 1, "integer" },
      { "false", false, 0, "integer" },
    }
    for _, case in ipairs(cases) do
      local what, value, expected, kind = table.unpack(case, 1, 4)
      if expected == nil then expected = value end
      it(what, function()
        db:insert("k", "INSERT INTO any VALUES ('k', ?)", { value })
        local row = db:first("k", "SELECT v, typeof(v) AS t, ? IS v AS same FROM any", { value })
        assert.equal(kind, row.t)
        assert.equal(expected, row.v)
        assert.equal(math.type(expected), math.type(row.v))
        assert.equal(1, row.same)
        assert.equal(("%q"):format(expected), ("%q"):format(row.v))
      end)
    end

    it("NULL as an absent field", function()
      db:insert("k", "INSERT INTO any VALUES ('k', ?)", { collegedb.null })
      local row = db:first("k", "SELECT v, v IS NULL AS yes FROM any")
      assert.same({ yes = 1 }, row)
    end)

    it("NaN that SQL computes as NULL", function()
      assert.same({}, db:first("k", "SELECT 9e999 - 9e999 AS v"))
    end)

    it("the last of duplicate columns, and all their names", function()
      local result = db:run("k", "SELECT 1 AS v, 2 AS w, 3 AS v")
      assert.same({ { v = 3, w = 2 } }, result.results)
      assert.same({ "v", "w", "v" }, result.columns)
      assert.same({ w = 2 }, db:first("k", "SELECT 1 AS v, 2 AS w, NULL AS v"))
    end)

    it("columns without an alias, empty and odd names", function()
      local result = db:run("k", [[SELECT 1+1, 5 AS "", 6 AS "a b", 7 AS "ä"]])
      assert.same({ { ["1+1"] = 2, [""] = 5, ["a b"] = 6, ["ä"] = 7 } }, result.results)
      assert.same({ "1+1", "", "a b", "ä" }, result.columns)
    end)

    it("two thousand columns", function()
      local parts = {}
      for i = 1, 2000 do parts[i] = i .. " AS c" .. i end
      local row = db:first("k", "SELECT " .. table.concat(parts, ", "))
      assert.equal(1, row.c1)
      assert.equal(2000, row.c2000)
    end)

    it("its own copy of the column names", function()
      local result = db:run("k", "SELECT 1 AS v")
      result.columns[1] = "w"
      assert.same({ { v = 1 } }, db:run("k", "SELECT 1 AS v").results)
      assert.same({ "v" }, db:run("k", "SELECT 1 AS v").columns)
    end)
  end)

  describe("refuses", function()
    local cases = {
      { "a second statement", "SELECT 1; SELECT 2", "USAGE", "one statement" },
      { "a second statement behind a comment", "SELECT 1 /* ; */ ; DELETE FROM users", "USAGE", "one statement" },
      { "what follows a NUL byte", "SELECT 1\0; DELETE FROM users", "USAGE" },
      { "BEGIN", "BEGIN", "USAGE", "transaction" },
      { "COMMIT behind a comment", "/* now */ commit", "USAGE", "transaction" },
      { "END", "END", "USAGE", "transaction" },
      { "ROLLBACK", "ROLLBACK", "USAGE", "transaction" },
      { "a savepoint", "SAVEPOINT s", "USAGE", "transaction" },
      { "RELEASE", "RELEASE s", "USAGE", "transaction" },
      { "ATTACH", "ATTACH ':memory:' AS other", "USAGE", "ATTACH" },
      { "DETACH", "DETACH other", "USAGE", "ATTACH" },
      { "no statement", "", "USAGE", "no statement" },
      { "only a comment", "-- nothing", "USAGE", "no statement" },
      { "a syntax error", "SELEC 1", "SQL", "syntax error" },
      { "an unknown column", "SELECT nope FROM users", "SQL", "no such column: nope" },
      { "an unknown table", "SELECT * FROM nope", "SQL", "no such table: nope" },
      { "an unknown function", "SELECT load_extension('x')", "SQL" },
      { "a write into the schema", "DELETE FROM sqlite_master", "SQL" },
    }
    for _, case in ipairs(cases) do
      local what, sql, code, message = table.unpack(case)
      it(what, function()
        insert("u1")
        for _, method in ipairs { "run", "first", "all", "each", "insert" } do
          local e = fixture.raises(code, message, function()
            local step, cursor = db[method](db, "u1", sql)
            if method == "each" then step(cursor) end
          end)
          assert(e.sql == sql or method == "each", tostring(e.sql))
        end
        assert.equal(1, db:count "users")
        assert.is_not_nil(db:first("u1", "SELECT 1 AS yes"))
      end)
    end

    it("SQL that is no string", function()
      for _, sql in ipairs { 5, true, {} } do fixture.raises("USAGE", "SQL", function() db:first("u1", sql) end) end
      fixture.raises("USAGE", "SQL", function() db:first "u1" end)
    end)

    it("a call with a dot in the place of a colon", function()
      fixture.raises("USAGE", "`:`", function() db.first("u1", "SELECT 1") end)
      fixture.raises("USAGE", "`:`", function() db.first({}, "u1", "SELECT 1") end)
      fixture.raises("USAGE", "`:`", function() db:shard("a").first("SELECT 1") end)
    end)

    it("what a constraint forbids, and leaves nothing", function()
      insert("u1", "Ann")
      local e = fixture.raises("CONSTRAINT", "UNIQUE", insert, "u1", "Bea")
      assert.equal(1555, e.sqlite_code)
      assert.is_false(e.retryable)
      assert.equal("Ann", db:first("u1", "SELECT name FROM users").name)
      local many = "INSERT INTO users (id) VALUES ('x'), ('y'), ('u1')"
      for _, method in ipairs { "run", "first", "all" } do
        fixture.raises("CONSTRAINT", nil, function() return db[method](db, "u1", many) end)
        fixture.raises("CONSTRAINT", nil, function() return db[method](db, "u1", many .. " RETURNING id") end)
      end
      fixture.raises("CONSTRAINT", nil, function()
        for _ in db:each("u1", many .. " RETURNING id") do assert(false, "no row of it may come") end
      end)
      assert.equal(1, db:count "users")
    end)

    it("what a deferred constraint forbids at the end, without keeping it", function()
      local shard = db:locate "u1"
      db:shard(shard):exec [[PRAGMA foreign_keys = ON; CREATE TABLE notes (id TEXT PRIMARY KEY,
        user TEXT REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)]]
      local sql = "INSERT INTO notes VALUES ('n1', 'nobody') RETURNING id"
      for _, method in ipairs { "run", "first", "all" } do
        fixture.raises("CONSTRAINT", "FOREIGN KEY", function() return db[method](db, "u1", sql) end)
      end
      fixture.raises("CONSTRAINT", "FOREIGN KEY", function()
        for row in db:each("u1", sql) do assert.equal("n1", row.id) end
      end)
      fixture.raises("CONSTRAINT", "FOREIGN KEY", function()
        for _ in db:each("u1", sql) do break end -- luacheck: ignore 512
      end)
      assert.equal(0, db:shard(shard):first("SELECT count(*) AS n FROM notes").n)
    end)

    it("text over SQLite's limit", function()
      fixture.raises("TOO_LARGE", nil, db.first, db, "u1", "SELECT zeroblob(1100000000) AS v")
    end)
  end)

  it("sees a table that was made since the SQL text was used first", function()
    fixture.raises("SQL", "no such table", db.first, db, "k", "SELECT * FROM later")
    db:shard(db:locate "k"):exec "CREATE TABLE later (x); INSERT INTO later VALUES (5)"
    assert.same({ x = 5 }, db:first("k", "SELECT * FROM later"))
  end)

  it("follows the names of columns when the schema changes", function()
    local shard = db:shard(db:locate "k")
    shard:exec "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2)"
    local sql = "SELECT * FROM t"
    assert.same({ a = 1, b = 2 }, db:first("k", sql))
    shard:exec "ALTER TABLE t RENAME COLUMN a TO c"
    assert.same({ c = 1, b = 2 }, db:first("k", sql))
    shard:exec "ALTER TABLE t ADD COLUMN d DEFAULT 9"
    assert.same({ { c = 1, b = 2, d = 9 } }, db:all("k", sql))
    shard:exec "ALTER TABLE t DROP COLUMN b"
    local result = db:run("k", sql)
    assert.same({ "c", "d" }, result.columns)
    assert.same({ { c = 1, d = 9 } }, result.results)
  end)

  it("follows the names of columns when another program changes the schema", function()
    local name = db:locate "k"
    db:shard(name):exec "CREATE TABLE t (a)"
    local sql = "SELECT * FROM t"
    assert.same({ "a" }, db:run("k", sql).columns)
    local other = core.sqlite(fixture.path(name .. ".db"), {})
    other:exec "ALTER TABLE t ADD COLUMN c; INSERT INTO t VALUES (1, 2)"
    core.close(other)
    assert.same({ { a = 1, c = 2 } }, db:run("k", sql).results)
    assert.same({ "a", "c" }, db:run("k", sql).columns)
  end)

  it("works with 10,000 different texts", function()
    for i = 1, 10000 do assert.equal(i, db:first("k" .. i % 7, "SELECT " .. i .. " AS n").n) end
    assert.equal(1, db:first("k1", "SELECT 1 AS n").n)
  end)

  it("works with SQL of a megabyte", function()
    local sql = "SELECT '" .. ("x"):rep(900000) .. "' AS v"
    assert.equal(900000, #db:first("k", sql).v)
  end)

  it("ignores a comment around the statement", function()
    assert.equal(1, db:first("k", "-- one\n/* two */ SELECT 1 AS n /* three */ ; -- four").n)
  end)

  it("runs WITH … INSERT as an insert", function()
    local result = db:insert("w1", "WITH x(i) AS (VALUES (?)) INSERT INTO users (id) SELECT i FROM x", { "w1" })
    assert.equal(1, result.meta.changes)
    assert.equal("w1", db:first("w1", "WITH x AS (SELECT * FROM users) SELECT id FROM x").id)
  end)

  it("runs in coroutines that take turns", function()
    local shard = db:shard(db:locate "u1")
    for i = 1, 5 do shard:run("INSERT INTO users (id) VALUES (?)", { "x" .. i }) end
    local function walk()
      return coroutine.wrap(function()
        for row in db:each("u1", "SELECT id FROM users ORDER BY id") do
          coroutine.yield(db:first("u1", "SELECT ? AS id", { row.id }).id)
        end
      end)
    end
    local one, two = walk(), walk()
    for i = 1, 5 do
      assert.equal("x" .. i, one())
      assert.equal("x" .. i, two())
    end
    assert.is_nil(one())
    assert.is_nil(two())
  end)

  it("names the shard and the statement in its error", function()
    insert("u1")
    local sql = "INSERT INTO users (id) VALUES (?)"
    local e = fixture.raises("CONSTRAINT", nil, db.insert, db, "u1", sql, { "u1" })
    assert.equal(db:locate "u1", e.shard)
    assert.equal(sql, e.sql)
    assert.equal("u1", e.key)
  end)
end)
