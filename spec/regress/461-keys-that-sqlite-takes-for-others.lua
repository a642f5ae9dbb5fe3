-- Found by fuzzing: strings that SQLite takes for another key of the column were keys of their own, so that a row could
-- be on one shard and looked for on another.

local fixture = require "spec.support.fixture"

describe("regression 461:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a number with any white space around is refused where the column holds numbers", function()
    local db = fixture.database [[CREATE TABLE users (id INTEGER PRIMARY KEY);
      CREATE TABLE bills (id NUMERIC PRIMARY KEY)]]
    for _, name in ipairs { "users", "bills" } do
      local sql = ("SELECT * FROM %s WHERE id = ?"):format(name)
      for _, key in ipairs { "17\n", "\r17", "\v17", "17\f", " 17", "017" } do
        fixture.raises("USAGE", "plain digits", db.first, db, key, sql, { key })
        fixture.raises("USAGE", "integer", db.key, db, name, key)
      end
    end
  end)

  it("a key of a table that compares NOCASE holds no NUL, behind which SQLite does not look", function()
    local db = fixture.database "CREATE TABLE tags (id TEXT COLLATE NOCASE PRIMARY KEY)"
    fixture.raises("USAGE", "NUL", db.insert, db, "a\0b", "INSERT INTO tags VALUES (?)", { "a\0b" })
    fixture.raises("USAGE", "NUL", db.key, db, "tags", "a\0b")
    assert.is_not_nil(db:key("tags", "ab"))
  end)

  it("where such rows exist already, integration counts them as unusable", function()
    fixture.sqlite("a.db", "CREATE TABLE tags (id TEXT COLLATE NOCASE PRIMARY KEY); "
      .. "INSERT INTO tags VALUES ('ok'), (CAST(x'610062' AS TEXT))")
    local db = fixture.open(fixture.config { auto_migrate = false })
    local report = db:integrate "a"
    assert.equal(2, report.total_records)
    assert.equal("a", db:locate(db:key("tags", "ok")))
    assert.is_true(#report.issues > 0)
  end)
end)
