-- Found by fuzzing: texts that SQLite and the scanner, or SQLite and the reader of statements for D1, cut into other
-- pieces.

local core = require "collegedb.core"
local verdict = require "verdict"

describe("regression 460:", function()
  it("`/*` is no comment where the text ends", function()
    assert.is_true(core.scan("SELECT 1; /*").second)
    assert.is_false(core.scan("SELECT 1; /* ").second)
  end)

  it("a vertical tab is space only behind space", function()
    assert.is_true(core.scan("SELECT 1;\v").second)
    assert.is_false(core.scan("SELECT 1; \v").second)
  end)

  it("a virtual table's arguments may hold a semicolon", function()
    local sql = "CREATE VIRTUAL TABLE x USING fts5(a, (b; c);d); SELECT 1"
    assert.equal(#sql - #" SELECT 1", core.scan(sql).finish)
    assert.is_nil(verdict.disagrees "CREATE VIRTUAL TABLE new USING fts5(;a, b)")
  end)

  for what, sql in pairs {
    ["semicolons before it"] = "; ;\n; SELECT id FROM users",
    ["a byte-order mark behind it"] = "SELECT id FROM users; \u{FEFF}",
    ["a byte-order mark inside"] = "SELECT id,\u{FEFF}name FROM users WHERE id = ?",
    ["a parameter that begins with #"] = "SELECT id FROM users WHERE id = #id AND n = ?",
    ["a name right behind hexadecimal digits"] = "INSERT INTO users (id) VALUES (1) RETURNING 0x1n",
    ["what would be a parameter, among a virtual table's arguments"] = "CREATE VIRTUAL TABLE new USING fts4(a, $b)",
  } do
    it("for D1 a statement is what it is for SQLite, with " .. what, function()
      assert.is_nil(verdict.disagrees(sql))
    end)
  end
end)
