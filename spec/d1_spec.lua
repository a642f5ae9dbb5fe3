-- A D1 database over REST, on Cloudflare's own engine.

local collegedb = require "collegedb"
local engine = require "spec.support.engine"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"

local raises = fixture.raises

describe("D1 over REST", function()
  local endpoint, names, shard

  if engine.skips(it, function(why) pending(why) end) then return end

  setup(function()
    endpoint, names = engine.start(1)
    shard = collegedb.d1 { database = names[1], endpoint = endpoint }
  end)

  teardown(function()
    net.close()
    engine.stop()
  end)

  before_each(function()
    shard:run "DROP TABLE IF EXISTS t"
    shard:run "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB) -- a column that leaves values as they are"
  end)

  local function check_same(expected, value, label)
    assert.equal(math.type(expected), math.type(value), label)
    assert.equal(expected, value, label)
  end

  it("carries values there and back exactly", function()
    local values = { 0, 1, -1, 2 ^ 53 | 0, (2 ^ 53 | 0) + 1, math.maxinteger, math.mininteger, 0.0, 1.0, -1.5, 0.1,
      1 / 3, 1e300, 1e22, 2.0 ^ 63, -2.0 ^ 62, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, math.huge,
      -math.huge, 9007199254740993.0, 123456789012345680.0, "", "1", "1.0", "t", "ä€😀",
      'q"u\'o\\te', "a\0b", "\0", "\xff\xfe",
      "\xf4\x90\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
      "line\nnext\ttab\r\127\1",
      "\u{FFFE}\u{2028}", "%s %!.17g %%", "?1 ?", ("x"):rep(5000) }
    for i, value in ipairs(values) do
      local label = ("value %d: %s"):format(i, tostring(value):sub(1, 30))
      shard:run("INSERT INTO t VALUES (?, ?)", { i, value })
      check_same(value, shard:first("SELECT v FROM t WHERE id = ?", { i }).v, label)
      check_same(value, shard:first("SELECT ? AS v", { value }).v, label .. " (not stored)")
      assert.equal(1, shard:first("SELECT count(*) AS n FROM t WHERE id = ? AND v = ?", { i, value }).n, label)
    end
    for i, row in ipairs(shard:all "SELECT id, v FROM t ORDER BY id") do check_same(values[i], row.v, "all " .. i) end
  end)

  it("carries reals of every size exactly", function()
    local values, items = {}, {}
    local state = 12345
    for _ = 1, 400 do
      local bits = {}
      for k = 1, 8 do
        state = (state * 1103515245 + 12345) % 2147483648
        bits[k] = string.char(state >> 16 & 255)
      end
      local value = string.unpack("d", table.concat(bits))
      if value == value then
        values[#values + 1] = value
        items[#values] = "SELECT " .. #values .. " AS i, ? AS v"
      end
    end
    local wrong = 0
    for first = 1, #values, 5 do
      local last = math.min(first + 4, #values)
      local sql = table.concat(items, " UNION ALL ", first, last)
      for _, row in ipairs(shard:all(sql, table.move(values, first, last, 1, {}))) do
        if row.v ~= values[row.i] then wrong = wrong + 1 end
      end
    end
    assert.equal(0, wrong)
  end)

  it("carries NULL, blobs and booleans", function()
    local bytes = "\0\1\2\255'\"" .. ("\200"):rep(1000)
    shard:run("INSERT INTO t VALUES (1, ?), (2, ?), (3, ?), (4, ?)",
      { collegedb.blob(bytes), collegedb.null, true, collegedb.blob "" })
    local rows = shard:all "SELECT v, typeof(v) AS kind FROM t ORDER BY id"
    assert.same({ v = bytes, kind = "blob" }, rows[1])
    assert.same({ kind = "null" }, rows[2])
    assert.same({ v = 1, kind = "integer" }, rows[3])
    assert.same({ v = "", kind = "blob" }, rows[4])
  end)

  it("takes parameters as SQLite does, and more of them than D1", function()
    local row = shard:first("SELECT ?2 AS a, ? AS b, :c AS c, @d AS d, $e AS e, ':no' AS f, [a?] AS g FROM "
      .. "(SELECT 7 AS \"a?\") /* ? */ -- ?", { [1] = "unused", [2] = "two", [3] = "three", c = 4, d = 5.5, e = "six" })
    assert.same({ a = "two", b = "three", c = 4, d = 5.5, e = "six", f = ":no", g = 7 }, row)
    local marks, numbers = {}, {}
    for i = 1, 500 do marks[i], numbers[i] = "?", i end
    local sql = "SELECT count(*) AS n FROM json_each('[1,2,501]') WHERE value IN (" .. table.concat(marks, ",") .. ")"
    assert.equal(2, shard:first(sql, numbers).n)
  end)

  it("refuses wrong parameters before anything is sent", function()
    raises("USAGE", "parameter 2 is missing", shard.run, shard, "SELECT ?, ?", { 1 })
    raises("USAGE", "parameter 2 is superfluous", shard.run, shard, "SELECT ?", { 1, 2 })
    raises("USAGE", "parameter x is superfluous", shard.run, shard, "SELECT :y", { y = 1, x = 2 })
    raises("USAGE", "parameter 1 is a table", shard.run, shard, "SELECT ?", { {} })
    raises("USAGE", "parameter 1 is NaN", shard.run, shard, "SELECT ?", { 0 / 0 })
    raises("USAGE", "one statement", shard.run, shard, "SELECT 1; SELECT 2")
    raises("USAGE", "no statement", shard.run, shard, " -- nothing")
    raises("USAGE", "transaction", shard.run, shard, "BEGIN")
    raises("TOO_LARGE", "takes statements of 100000", shard.run, shard, "SELECT '" .. ("x"):rep(100001) .. "'")
    raises("TOO_LARGE", nil, shard.run, shard, "SELECT ?", { ("x"):rep(2000001) })
  end)

  it("gives a result with columns, rows and counts", function()
    local result = shard:run("INSERT INTO t VALUES (?, 'a'), (?, 'b')", { 5, 6 })
    assert.same({ true, 2, 6, {} }, { result.success, result.meta.changes, result.meta.last_row_id, result.results })
    assert.equal("integer", math.type(result.meta.rows_written))
    result = shard:run "SELECT id AS n, v FROM t ORDER BY id DESC"
    assert.same({ "n", "v" }, result.columns)
    assert.same({ { n = 6, v = "b" }, { n = 5, v = "a" } }, result.results)
    assert.equal(0, shard:run("DELETE FROM t WHERE id = 99").meta.changes)
    assert.same({}, shard:all "SELECT * FROM t WHERE 0")
    assert.is_nil(shard:first "SELECT * FROM t WHERE 0")
  end)

  it("refuses columns of one name, which the engine does not tell apart", function()
    raises("UNSUPPORTED", "AS", shard.run, shard, "SELECT 1 AS n, 2.5 AS n")
  end)

  it("says nothing of a row id that was rounded on its way", function()
    assert.is_nil(shard:run("INSERT INTO t VALUES (?, 1)", { math.maxinteger }).meta.last_row_id)
    assert.equal(math.maxinteger, shard:first("SELECT max(id) AS id FROM t").id)
  end)

  it("gives the rows of RETURNING exactly, and each write is done once", function()
    local row = shard:first("INSERT INTO t VALUES (?, ?) RETURNING id, v, v || ? AS more, (SELECT 1.0) AS one",
      { math.maxinteger, 2.0, "x" })
    assert.same({ id = math.maxinteger, v = 2.0, more = "2.0x", one = 1.0 }, row)
    assert.equal("float", math.type(row.v))
    assert.equal("float", math.type(row.one))
    row = shard:first("UPDATE t SET v = 'returning' WHERE id = ? RETURNING v;", { math.maxinteger })
    assert.same({ v = "returning" }, row)
    assert.same({ id = math.maxinteger, v = "returning", twice = "returningreturning" },
      shard:first "UPDATE t SET v = v RETURNING *, v || v AS twice")
    assert.same({ { id = math.maxinteger, v = "returning" } }, shard:all "DELETE FROM t RETURNING *")
    assert.equal(0, shard:first("SELECT count(*) AS n FROM t").n)
  end)

  it("reads statements of every shape", function()
    shard:run "INSERT INTO t VALUES (1, 10), (2, 20.0)"
    assert.same({ { x = 2 }, { x = 1 } }, shard:all "WITH w(x) AS (SELECT id FROM t) SELECT x FROM w ORDER BY x DESC")
    assert.same({ { column1 = 1, column2 = "a" } }, shard:all "VALUES (1, 'a')")
    assert.same({ { n = 1 }, { n = 2 } }, shard:all "SELECT 1 AS n UNION SELECT 2 ORDER BY n LIMIT 5;")
    assert.equal(2, shard:run("WITH w(x) AS (SELECT 2) DELETE FROM t WHERE id <= (SELECT x FROM w)").meta.changes)
    assert.equal("id", shard:all("PRAGMA table_info(t)")[1].name)
  end)

  it("gives rows in pages to a loop", function()
    local ids = {}
    for i = 1, 2500 do ids[i] = i * 3 end
    shard:run("INSERT INTO t SELECT value, 'v' || value FROM json_each(?)", { "[" .. table.concat(ids, ",") .. "]" })
    local n, sum = 0, 0
    for row in shard:each("SELECT v, id FROM t WHERE id > ?", { 3 }) do
      n, sum = n + 1, sum + row.id
      assert.equal("v" .. row.id, row.v)
      assert.is_nil(row._collegedb_row)
    end
    assert.same({ 2499, 2500 * 2501 // 2 * 3 - 3 }, { n, sum })
    shard:run "CREATE TABLE IF NOT EXISTS w (k TEXT PRIMARY KEY) WITHOUT ROWID"
    shard:run "INSERT OR IGNORE INTO w SELECT v FROM t"
    n = 0
    for _ in shard:each "SELECT k FROM w" do n = n + 1 end
    assert.equal(2500, n)
    n = 0
    for row in shard:each "SELECT w.k, t.id FROM w JOIN t ON t.v = w.k ORDER BY t.id" do
      n = n + 1
      assert.equal(n * 3, row.id)
    end
    assert.equal(2500, n)
    shard:exec "DROP TABLE w; -- done"
  end)

  it("takes a statement to its NUL, as SQLite does", function()
    assert.equal(7, shard:first("SELECT 7 AS n\0").n)
  end)

  it("names the columns of a result without rows", function()
    assert.same({ "id", "w" }, shard:run("SELECT id, v AS w FROM t WHERE 0").columns)
    assert(shard:size() > 4096)
  end)

  it("follows columns that change", function()
    shard:run "INSERT INTO t VALUES (1, 2)"
    local sql = "SELECT * FROM t"
    assert.same({ id = 1, v = 2 }, shard:first(sql))
    shard:run "ALTER TABLE t ADD COLUMN w REAL DEFAULT 3"
    assert.same({ id = 1, v = 2, w = 3.0 }, shard:first(sql))
    shard:run "ALTER TABLE t RENAME COLUMN v TO u"
    assert.same({ id = 1, u = 2, w = 3.0 }, shard:first(sql))
    shard:run "ALTER TABLE t DROP COLUMN w"
    assert.same({ id = 1, u = 2 }, shard:first(sql))
    shard:run "DROP TABLE t"
    raises("SQL", "no such table", shard.first, shard, sql)
  end)

  it("raises what SQLite says, by its code", function()
    shard:run "INSERT INTO t VALUES (1, 1)"
    local err = raises("CONSTRAINT", "UNIQUE", shard.run, shard, "INSERT INTO t VALUES (1, 2)")
    assert.same({ "INSERT INTO t VALUES (1, 2)", false }, { err.sql, err.retryable })
    raises("SQL", "syntax error", shard.run, shard, "SELEC 1")
    raises("SQL", "no such column", shard.first, shard, "SELECT absent FROM t")
    raises("SQL", "no such table", shard.run, shard, "INSERT INTO nowhere VALUES (1) RETURNING 1 AS x")
    shard:run [[CREATE TRIGGER t_moved BEFORE UPDATE ON t
      BEGIN SELECT RAISE(ABORT, 'collegedb:moved'); END]]
    raises("MOVED", nil, shard.run, shard, "UPDATE t SET v = 5")
    raises("UNAVAILABLE", "could not be found", function()
      collegedb.d1({ database = names[1] .. "x", endpoint = endpoint }):first "SELECT 1"
    end)
  end)
end)

describe("collegedb.d1", function()
  it("checks what it is given, and shows no token", function()
    local good = { account = "a1", database = "d-1", token = "secret-token" }
    local shard = collegedb.d1(good)
    assert.equal("d1 d-1", tostring(shard))
    for name, value in pairs(shard) do error(tostring(name) .. tostring(value)) end
    raises("CONFIG", "database", collegedb.d1, { account = "a", token = "t" })
    raises("CONFIG", "account", collegedb.d1, { account = "../x", database = "d", token = "t" })
    for field, value in pairs { endpoint = 5, token = "two words", deadline = 0, account = true, ca_file = {} } do
      local given = { database = "d", endpoint = "https://localhost", [field] = value }
      assert.is_nil(raises("CONFIG", field, collegedb.d1, given).message:find("words", 1, true))
    end
    raises("CONFIG", "no field tokn", collegedb.d1, { tokn = "t" })
    raises("CONFIG", "takes a table", collegedb.d1, "d")
    if not os.getenv "CLOUDFLARE_API_TOKEN" then
      raises("CONFIG", "CLOUDFLARE_API_TOKEN", collegedb.d1, { account = "a", database = "d" })
    end
  end)
end)
