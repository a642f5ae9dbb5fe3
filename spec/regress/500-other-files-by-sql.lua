-- VACUUM INTO wrote a file of any name through a routed statement, PRAGMA temp_store_directory moved the temporary
-- files of the whole process, and fts3_tokenizer took an address from SQL and called it.

local fixture = require "spec.support.fixture"

describe("regression 500:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function each_way(db, sql, check)
    local a = db:shard "a"
    check(function() db:run("k", sql) end)
    check(function() a:all(sql) end)
    check(function() a:exec(sql) end)
    check(function() a:transaction(function(tx) tx:run(sql) end) end)
  end

  it("a statement reaches no file but its shard's", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    local before = fixture.files()
    for _, sql in ipairs { "ATTACH '%s' AS x", "EXPLAIN ATTACH '%s' AS x", "DETACH main", "VACUUM INTO '%s'",
      "VACUUM main INTO 'file:%s?mode=rwc'", "SELECT writefile('%s', 'x')", "SELECT readfile('%s')",
      "PRAGMA temp_store_directory = '%s'", "SELECT load_extension('%s')" } do
      each_way(db, sql:format(fixture.path "out.db"), function(f)
        local done, err = pcall(f)
        assert(not done and require("collegedb").is_error(err), sql)
      end)
    end
    fixture.raises("USAGE", "VACUUM INTO", db.run, db, "k", "VACUUM INTO ?", { fixture.path "out.db" })
    assert.same(before, fixture.files())
    db:run("k", "VACUUM")
  end)

  it("SQL gives SQLite no address to call", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    each_way(db, "SELECT fts3_tokenizer('evil', x'4141414141414141')", function(f)
      fixture.raises("SQL", "disabled", f)
    end)
  end)
end)
