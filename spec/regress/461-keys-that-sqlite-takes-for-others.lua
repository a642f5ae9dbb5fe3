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
end)
