-- The SQL scanner: what kind of statement a text is, its main table, where it ends, and whether more follows.

local core = require "collegedb.core"

-- Each case: what it shows, the text, and the answer. Kinds first, as the text's first words tell them.
local kinds = {
  { "a query", "SELECT 1", "select" },
  { "bare rows", "VALUES (1), (2)", "select" },
  { "a query behind WITH", "WITH x AS (SELECT 1) SELECT * FROM x", "select" },
  { "an insert", "insert into users values (1)", "insert" },
  { "REPLACE as an insert", "REPLACE INTO users VALUES (1)", "insert" },
  { "an insert behind WITH", "WITH x AS (SELECT * FROM orders) INSERT INTO users SELECT * FROM x", "insert" },
  { "an update behind a recursive WITH", "WITH RECURSIVE x(n) AS (VALUES (1)) UPDATE users SET n = 1", "update" },
  { "a deletion", "DELETE FROM users", "delete" },
  { "a schema change", "ALTER TABLE users ADD COLUMN age", "schema" },
  { "END as the end of a transaction", "END", "transaction" },
  { "a savepoint", "SAVEPOINT s", "transaction" },
  { "DETACH with ATTACH", "DETACH other", "attach" },
  { "a pragma", "PRAGMA user_version", "pragma" },
  { "an explained deletion, which deletes nothing", "EXPLAIN QUERY PLAN DELETE FROM users", "explain" },
  { "VACUUM as other", "VACUUM", "other" },
  { "a word that only begins like a verb", "SELECTED FROM users", "other" },
  { "a quoted verb, which is none", '"SELECT" * FROM users', "other" },
  { "WITH that leads nowhere", "WITH x AS (SELECT * FROM users)", "other" },
  { "no text", "", "empty" },
  { "only space, comments and semicolons", " ;; -- SELECT 1\n /* SELECT 2 */ ;", "empty" },
  { "a comment that never ends", "/* SELECT 1", "empty" },
  { "a verb behind comments, semicolons and a byte-order mark", "\u{FEFF};-- one\n/* two */ sElEcT 1", "select" },
}

-- The main table; nil where a statement has none.
local tables = {
  { "the first of a join", "SELECT * FROM users u LEFT JOIN orders o ON o.user = u.id", "users" },
  { "a name without its schema", 'SELECT * FROM main . "users"', "users" },
  { "a quote inside a name", 'SELECT * FROM "my ""own"" users"', 'my "own" users' },
  { "a name in brackets, where quotes do not double", 'SELECT * FROM [my ""users]', 'my ""users' },
  { "a name in backticks", "DELETE FROM `us``ers`", "us`ers" },
  { "a string where a name belongs, as SQLite does", "INSERT INTO 'users' VALUES (1)", "users" },
  { "a name of bytes beyond ASCII, and a dollar", "SELECT * FROM größe$1", "größe$1" },
  { "a keyword that may be a name", "REPLACE INTO replace VALUES (1)", "replace" },
  { "a reserved word in quotes", 'UPDATE OR REPLACE "or" SET id = 1', "or" },
  { "no table from a string or a comment", "SELECT 'FROM orders' /* FROM orders */ FROM -- orders\n users", "users" },
  { "no table from a column's subquery", "SELECT (SELECT max(id) FROM orders) FROM users", "users" },
  { "no table from IS DISTINCT FROM", "SELECT a IS NOT DISTINCT FROM b FROM users", "users" },
  { "FROM right behind a parameter", "SELECT ?1FROM users", "users" },
  { "a table inside subqueries", "SELECT * FROM (SELECT * FROM (SELECT * FROM users) JOIN orders)", "users" },
  { "a table inside a parenthesised join", "SELECT * FROM ((users JOIN orders USING (id)) JOIN items)", "users" },
  { "the first part of a compound", "SELECT id FROM users UNION SELECT id FROM orders", "users" },
  { "the table beside a table-valued function", "SELECT * FROM json_each(?) j JOIN users ON id = j.value", "users" },
  { "the table beside bare rows", "WITH ids(id) AS (VALUES (1)) SELECT * FROM ids JOIN users USING (id)", "users" },
  { "a CTE's own table", "WITH x AS NOT MATERIALIZED (SELECT * FROM users) SELECT * FROM X JOIN orders", "users" },
  { "a CTE of a later CTE", "WITH a AS (SELECT * FROM b), b AS (SELECT * FROM users) SELECT * FROM a", "users" },
  { "a CTE by another quoting of its name", 'WITH "a b" AS (SELECT * FROM users) SELECT * FROM [A B]', "users" },
  { "a table behind a CTE of its name", "WITH users AS (SELECT * FROM orders) SELECT * FROM main.users", "users" },
  { "what a recursive CTE starts from",
    "WITH RECURSIVE up AS (SELECT * FROM users UNION ALL SELECT u.* FROM up JOIN users u) SELECT * FROM up", "users" },
  { "an insert's target, not its source", "INSERT OR IGNORE INTO users SELECT * FROM orders", "users" },
  { "an upsert's target", "INSERT INTO users(id) VALUES (1) ON CONFLICT(id) DO UPDATE SET n = n + 1", "users" },
  { "an insert's target even under a CTE of its name",
    "WITH users AS (SELECT * FROM orders) INSERT INTO users SELECT * FROM users", "users" },
  { "an update's target, not its FROM", "UPDATE users SET n = o.n FROM orders o WHERE o.id = users.id", "users" },
  { "a deletion's target, not its subquery", "DELETE FROM users WHERE id IN (SELECT id FROM orders)", "users" },
  { "a new table", "CREATE TEMP TABLE IF NOT EXISTS main.users (id)", "users" },
  { "a virtual table", "CREATE VIRTUAL TABLE users USING fts5(name)", "users" },
  { "a dropped table", "DROP TABLE IF EXISTS users", "users" },
  { "a new index's table", "CREATE UNIQUE INDEX IF NOT EXISTS main.by_name ON users(name)", "users" },
  { "none of a query without FROM", "SELECT (SELECT id FROM users)", nil },
  { "none of a function alone", "SELECT * FROM json_each('[1, 2]') WHERE key IN (1, 2) ORDER BY key, value", nil },
  { "none of a CTE that only counts",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n", nil },
  { "none of CTEs that name each other",
    "WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a", nil },
  { "none of an explained query", "EXPLAIN SELECT * FROM users", nil },
  { "none of a view", "CREATE VIEW v AS SELECT * FROM users", nil },
  { "none of a name that is cut off", 'SELECT * FROM "users', nil },
}

local trigger = "CREATE TRIGGER t AFTER INSERT ON users BEGIN "
  .. "SELECT CASE WHEN new.id THEN 1 END; DELETE FROM orders; END;"

-- The first statement's text, and what stands behind it; `second` is whether that counts as one more.
local ends = {
  { "no semicolon", "SELECT 1 -- ;", "", false },
  { "space and comments behind", "SELECT 1;", " -- done; really\n /* ; */ ", false },
  { "more semicolons behind", "SELECT 1;", " ; ;", false },
  { "leading semicolons as part of the first", " ;; SELECT 1;", "", false },
  { "another statement", "BEGIN;", " DELETE FROM users", true },
  { "anything else", "SELECT 1;", ")", true },
  { "semicolons in strings, names and comments", "SELECT ';' AS \";\", [;], `;` /* ; */;", "SELECT 2", true },
  { "a doubled quote that does not end a string", "SELECT 'it''s; here';", "SELECT 2", true },
  { "a line comment that hides one semicolon", "SELECT 1 -- ;\n;", "SELECT 2", true },
  { "a semicolon in a Tcl parameter", "SELECT $a::b(;);", "SELECT 2", true },
  { "a trigger's body", trigger, "", false },
  { "a statement behind a trigger", trigger, " DROP TABLE users", true },
  { "an explained trigger", "EXPLAIN " .. trigger, "", false },
  { "a table named trigger, which has no body", "CREATE TABLE trigger (id);", "SELECT 2; END;", true },
  { "a closing NUL", "SELECT 1", "\0", false },
  { "text that SQLite would not see behind a NUL", "SELECT 1", "\0; DELETE FROM users", true },
}

describe("the SQL scanner", function()
  describe("tells the kind of", function()
    for _, case in ipairs(kinds) do
      local name, sql, kind = table.unpack(case, 1, 3)
      it(name, function() assert.equal(kind, core.scan(sql).kind) end)
    end
  end)

  describe("finds as the main table", function()
    for _, case in ipairs(tables) do
      local name, sql, expected = table.unpack(case, 1, 3)
      it(name, function() assert.equal(expected, core.scan(sql).table) end)
    end
  end)

  describe("finds the end of the first statement with", function()
    for _, case in ipairs(ends) do
      local name, first, rest, second = table.unpack(case, 1, 4)
      it(name, function()
        local info = core.scan(first .. rest)
        assert.equal(#first, info.finish)
        assert.equal(second, info.second)
      end)
    end
  end)

  it("takes a text cut off anywhere", function()
    local sql = "WITH a(x) AS (SELECT * FROM [b]) SELECT 'c''d', $e(f), x'00' FROM (a JOIN \"g\"\"h\") -- i\n/* j */;"
    for size = 0, #sql do
      local info = core.scan(sql:sub(1, size))
      assert.is_string(info.kind)
      assert.equal(size, info.finish)
      assert.is_false(info.second)
    end
  end)

  it("takes any nesting, and gives up on the table beyond a depth", function()
    local function nested(depth) return "SELECT * FROM " .. ("("):rep(depth) .. "users" .. (")"):rep(depth) end
    assert.equal("users", core.scan(nested(20)).table)
    local deep = core.scan(nested(100000))
    assert.equal("select", deep.kind)
    assert.is_nil(deep.table)
  end)
end)
