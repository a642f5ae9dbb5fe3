-- A table that another program made in a shard with external writers was not probed.

local fixture = require "spec.support.fixture"

describe("regression 012:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("rows in a table that another program made are found", function()
    fixture.sqlite("a.db", "CREATE TABLE t (k TEXT PRIMARY KEY)")
    fixture.sqlite("b.db", "CREATE TABLE o (k TEXT PRIMARY KEY)")
    local db = fixture.open(fixture.config { shards = { b = { external_writers = true } } })
    pcall(db.first, db, "z1", "SELECT * FROM t WHERE k = ?", { "z1" })
    fixture.sqlite("b.db", [[CREATE TABLE t (k TEXT PRIMARY KEY);
      INSERT INTO t VALUES ('z1'), ('z2'), ('z3'), ('z4'), ('z5')]])
    for i = 1, 5 do
      local key = "z" .. i
      assert.same({ k = key }, db:first(key, "SELECT * FROM t WHERE k = ?", { key }))
    end
  end)
end)
