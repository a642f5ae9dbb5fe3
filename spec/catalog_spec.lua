-- What is known of tables: key columns by the default rules, in every spelling that SQLite allows.

local fixture = require "spec.support.fixture"

describe("the catalog", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- What it shows, the table t, a key value, and how db:key prints it; or false and the reason why there is no key.
  local cases = {
    { "a text primary key", "CREATE TABLE t (id TEXT PRIMARY KEY)", "x", "t:x" },
    { "a rowid alias", "CREATE TABLE t (id INTEGER PRIMARY KEY)", 5, "t:5" },
    { "AUTOINCREMENT", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)", 5, "t:5" },
    { "any type with INT in it", "CREATE TABLE t (id UNSIGNED BIG INT PRIMARY KEY)", "5", "t:5" },
    { "POINT, in which there is an INT", "CREATE TABLE t (id POINT PRIMARY KEY)", 5, "t:5" },
    { "a key declared at the end", "CREATE TABLE t (a, b VARCHAR(5), PRIMARY KEY (b))", "x", "t:x" },
    { "a column id without a primary key", "CREATE TABLE t (a, id TEXT)", "x", "t:x" },
    { "a column ID in capitals", "CREATE TABLE t (a, ID INTEGER)", 5, "t:5" },
    { "a primary key rather than id", "CREATE TABLE t (id INTEGER, name TEXT PRIMARY KEY)", "x", "t:x" },
    { "a blob key", "CREATE TABLE t (id BLOB PRIMARY KEY)", "x", "t:x" },
    { "a key without a type", "CREATE TABLE t (id PRIMARY KEY)", "x", "t:x" },
    { "a table without rowid", "CREATE TABLE t (v, id TEXT PRIMARY KEY) WITHOUT ROWID", "x", "t:x" },
    { "a strict table", "CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT", 5, "t:5" },
    { "a NOCASE key", "CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE)", "X", "t:x" },
    { "a NOCASE id without an index", "CREATE TABLE t (id TEXT COLLATE NOCASE)", "X", "t:x" },
    { "an odd column name", [[CREATE TABLE t ("a ""b""; --" TEXT PRIMARY KEY)]], "x", "t:x" },
    { "no primary key and no id", "CREATE TABLE t (a, b)", false, "no primary key" },
    { "the first of two columns", "CREATE TABLE t (a TEXT, b INTEGER, PRIMARY KEY (b, a))", 5, "t:5" },
    { "a generated column id", "CREATE TABLE t (v TEXT, id TEXT AS (v || '!') VIRTUAL UNIQUE)", "x!", "t:x!" },
    { "a key of floats", "CREATE TABLE t (id REAL PRIMARY KEY)", false, "floating%-point" },
    { "a view", "CREATE VIEW t AS SELECT 1 AS id", false, "view" },
    { "a virtual table", "CREATE VIRTUAL TABLE t USING fts5 (id)", false, "virtual" },
  }
  for _, case in ipairs(cases) do
    local what, sql, id, expected = case[1], case[2], case[3], case[4]
    it("sees " .. what, function()
      fixture.sqlite("a.db", sql)
      local db = fixture.open(fixture.config({}, { "a" }))
      if id then
        assert.equal(expected, tostring(db:key("t", id)))
        assert.equal("a", (db:locate(id, "t")))
      else
        fixture.raises("TABLE_NOT_FOUND", expected, db.key, db, "t", 1)
      end
    end)
  end

  it("compares names of tables without case, and their letters beyond ASCII with it", function()
    fixture.sqlite("a.db", [[CREATE TABLE Users (id INTEGER PRIMARY KEY); INSERT INTO Users VALUES (1);
      CREATE TABLE "Größe" (id INTEGER PRIMARY KEY); INSERT INTO "Größe" VALUES (1)]])
    fixture.sqlite("b.db", "CREATE TABLE USERS (id INTEGER PRIMARY KEY); INSERT INTO USERS VALUES (2)")
    local db = fixture.open(fixture.config())
    for i, name in ipairs { "a", "b" } do
      for _, spelling in ipairs { "users", "USERS", '"Users"', "[uSERS]" } do
        assert.equal(i, db:first(i, "SELECT id FROM " .. spelling .. " WHERE id = ?", { i }).id)
      end
      assert.equal(name, (db:locate(i, "uSeRs")))
    end
    assert.equal(2, db:count "users")
    assert.equal(1, db:first(1, 'SELECT id FROM "GRößE" WHERE id = 1').id)
    fixture.raises("TABLE_NOT_FOUND", nil, db.locate, db, 1, "GRÖSSE")
  end)

  it("keeps CollegeDB's and SQLite's own tables out", function()
    local db = fixture.database "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)"
    for _, name in ipairs { "sqlite_sequence", "sqlite_schema", "_collegedb_x" } do
      fixture.raises("TABLE_NOT_FOUND", nil, db.key, db, name, 1)
    end
  end)

  it("follows a key column that gets another type", function()
    local db = fixture.database "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)"
    assert.equal("t:5", tostring(db:key("t", 5.0)))
    for _, name in ipairs { "a", "b" } do
      db:shard(name):exec "DROP TABLE t; CREATE TABLE t (id TEXT PRIMARY KEY)"
    end
    fixture.raises("USAGE", "string", db.key, db, "t", 5.0)
    db:insert("x", "INSERT INTO t VALUES ('x')")
    assert.equal("t:x", tostring(db:key("t", "x")))
  end)

  it("of a thousand tables is no trouble", function()
    local parts = {}
    for i = 1, 1000 do
      parts[i] = ("CREATE TABLE t%d (id %s PRIMARY KEY)"):format(i, i % 2 == 0 and "TEXT" or "INTEGER")
    end
    local db = fixture.database(table.concat(parts, ";"), nil, { "a" })
    for i = 1, 1000, 37 do
      db:insert(i, ("INSERT INTO t%d VALUES (?)"):format(i), { i })
      assert.equal("a", (db:locate(i, "t" .. i)))
    end
    local started = os.clock()
    db:close()
    db = fixture.open(fixture.config({}, { "a" }))
    assert.equal(1, db:count "t1")
    assert.is_true(os.clock() - started < 5)
  end)
end)
