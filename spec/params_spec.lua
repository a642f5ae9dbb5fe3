-- Parameters: by position and by name, and USAGE that says which one was wrong.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("parameters", function()
  local db

  before_each(function()
    fixture.start()
    db = fixture.database()
  end)
  after_each(fixture.stop)

  describe("are taken", function()
    local cases = {
      { "by position", "SELECT ? AS a, ? AS b", { 1, 2 }, { a = 1, b = 2 } },
      { "by number", "SELECT ?2 AS a, ?1 AS b", { 1, 2 }, { a = 2, b = 1 } },
      { "by name", "SELECT :a AS a, @b AS b, $c AS c", { a = 1, b = 2, c = 3 }, { a = 1, b = 2, c = 3 } },
      { "by a name used twice", "SELECT :a AS a, :a AS b", { a = 1 }, { a = 1, b = 1 } },
      { "by position for named ones", "SELECT :x AS a, :y AS b", { 1, 2 }, { a = 1, b = 2 } },
      { "as nothing", "SELECT 1 AS a", nil, { a = 1 } },
      { "as an empty table", "SELECT 1 AS a", {}, { a = 1 } },
      { "with false among them", "SELECT ? AS a, ? AS b", { false, true }, { a = 0, b = 1 } },
      { "with null among them", "SELECT ? AS a, ? AS b", { collegedb.null, 2 }, { b = 2 } },
      { "with null by name", "SELECT :a AS a, :b AS b", { a = collegedb.null, b = 2 }, { b = 2 } },
      { "of thirty thousand", "SELECT ?30000 AS a", (function()
        local list = {}
        for i = 1, 30000 do list[i] = i end
        return list
      end)(), { a = 30000 } },
    }
    for _, case in ipairs(cases) do
      local what, sql, params, expected = case[1], case[2], case[3], case[4]
      it(what, function()
        assert.same(expected, db:first("k", sql, params))
        assert.same({ expected }, db:all("k", sql, params))
        assert.same({ expected }, db:run("k", sql, params).results)
        for row in db:each("k", sql, params) do assert.same(expected, row) end
      end)
    end

    it("as strings, never as SQL", function()
      assert.equal("'; DROP TABLE x; --", db:first("k", "SELECT ? AS a", { "'; DROP TABLE x; --" }).a)
    end)

    it("again with each call", function()
      for i = 1, 5 do assert.equal(i, db:first("k", "SELECT ? AS a", { i }).a) end
      fixture.raises("USAGE", nil, db.first, db, "k", "SELECT ? AS a", {})
      assert.equal(6, db:first("k", "SELECT ? AS a", { 6 }).a)
    end)
  end)

  describe("are refused", function()
    local nan = 0 / 0
    -- What it shows, SQL, params, what the message says.
    local cases = {
      { "without a table", "SELECT ?", nil, "takes 1 parameter" },
      { "as a string", "SELECT ?", "x", "table, not string" },
      { "as a number", "SELECT 1", 5, "table, not number" },
      { "when one is missing at the end", "SELECT ?, ?", { 1 }, "parameter 2 is missing" },
      { "when one is missing at the start", "SELECT ?, ?", { nil, 2 }, "parameter 1 is missing" },
      { "with a hole", "SELECT ?, ?, ?", { 1, nil, 3 }, "parameter 2 is missing" },
      { "when none is there", "SELECT ?", {}, "parameter 1 is missing" },
      { "when a name is missing", "SELECT :a, :b", { a = 1 }, "parameter :b is missing" },
      { "when a name is misspelled", "SELECT :a, :b", { a = 1, c = 2 }, "parameter :b is missing" },
      { "when one is too many", "SELECT ?", { 1, 2 }, "parameter 2 is superfluous" },
      { "when all are too many", "SELECT 1", { 1 }, "parameter 1 is superfluous" },
      { "when a name is too many", "SELECT :a", { a = 1, b = 2 }, "parameter b is superfluous" },
      { "when a name comes beside positions", "SELECT ?", { 1, x = 2 }, "parameter x is superfluous" },
      { "when a name is too many for no parameter", "SELECT 1", { x = 1 }, "parameter x is superfluous" },
      { "at position 0", "SELECT ?", { [0] = 1, [1] = 1 }, "parameter 0 is superfluous" },
      { "at position 1.5", "SELECT ?", { [1.5] = 1, [1] = 1 }, "parameter 1.5 is superfluous" },
      { "when one is a table", "SELECT ?, ?", { 1, {} }, "parameter 2 is a table" },
      { "when one is a function", "SELECT :f", { f = print }, "parameter :f is a function" },
      { "when one is a file", "SELECT ?", { io.stdout }, "parameter 1 is a userdata" },
      { "when one is NaN", "SELECT ?", { nan }, "parameter 1 is NaN" },
      { "when a named one is NaN", "SELECT :x", { x = nan }, "parameter :x is NaN" },
      { "when a number is skipped", "SELECT ?2", { nil, 5 }, "parameter" },
      { "by name where the SQL has positions", "SELECT ?", { id = 1 }, "parameter 1 is missing" },
    }
    for _, case in ipairs(cases) do
      local what, sql, params, message = case[1], case[2], case[3], case[4]
      it(what, function()
        for _, method in ipairs { "first", "all", "run", "each", "insert" } do
          local pattern = message:gsub("%p", "%%%0")
          local e = fixture.raises("USAGE", pattern, function() return db[method](db, "k", sql, params) end)
          assert.equal(sql, e.sql)
        end
        local shard = db:shard "a"
        fixture.raises("USAGE", nil, shard.first, shard, sql, params)
        assert.equal(1, db:first("k", "SELECT 1 AS n").n)
      end)
    end

    it("and nothing is written then", function()
      db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY, v)"
      fixture.raises("USAGE", nil, db.insert, db, "u", "INSERT INTO users VALUES (?, ?)", { "u" })
      fixture.raises("USAGE", nil, db.insert, db, "u", "INSERT INTO users VALUES (?, ?)", { "u", 1, 2 })
      fixture.raises("USAGE", nil, db.insert, db, "u", "INSERT INTO users VALUES (?, ?)", { "u", {} })
      assert.equal(0, db:count "users")
    end)
  end)

  describe("collegedb.blob", function()
    it("takes a string and gives it back", function()
      assert.equal("a\0b", tostring(collegedb.blob "a\0b"))
      assert.equal(3, #collegedb.blob "a\0b")
    end)

    it("refuses anything else", function()
      for _, value in ipairs { 5, true, {}, collegedb.null } do
        fixture.raises("USAGE", "blob", collegedb.blob, value)
      end
      fixture.raises("USAGE", "blob", collegedb.blob)
    end)
  end)
end)
