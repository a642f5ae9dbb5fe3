-- db:key with a keyspace on a table of text keys found rows before integration and not after it.

local fixture = require "spec.support.fixture"

describe("regression 013:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a text key with a keyspace is found also after integration", function()
    for _, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", ([[CREATE TABLE x (k TEXT PRIMARY KEY); INSERT INTO x
        VALUES ('%s1'), ('%s2'), ('%s3'), ('%s4'), ('%s5')]]):gsub("%%s", name))
    end
    local db = fixture.open(fixture.config { shards = { a = { keyspace = "eu" }, b = { keyspace = "eu" } } })
    for _, name in ipairs { "a", "b" } do
      for i = 1, 5 do
        local text = name .. i
        local taken, key = pcall(db.key, db, "x", text, "eu")
        assert(not taken or db:first(key, "SELECT * FROM x WHERE k = ?", { text }), text)
      end
    end
  end)
end)
