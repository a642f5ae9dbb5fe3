-- One of two tables, named twice, counted as both: the shard was taken for integrated, and the other's rows were lost.

local fixture = require "spec.support.fixture"

describe("regression 002:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a table named twice is one table", function()
    fixture.sqlite("a.db", [[CREATE TABLE t (k TEXT PRIMARY KEY); CREATE TABLE u (k TEXT PRIMARY KEY);
      INSERT INTO u VALUES ('u1'), ('u2'), ('u3'), ('u4'), ('u5'), ('u6')]])
    local db = fixture.open(fixture.config { auto_migrate = false })
    db:integrate("a", { tables = { "t", "t" } })
    db:integrate("a", { tables = { "t", "T" } })
    db:integrate "b"
    for i = 1, 6 do assert.is_not_nil(db:first("u" .. i, "SELECT 1 AS yes FROM u WHERE k = ?", { "u" .. i })) end
  end)
end)
