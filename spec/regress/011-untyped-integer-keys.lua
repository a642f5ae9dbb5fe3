-- Integers in a key column without a type were not found by probing.

local fixture = require "spec.support.fixture"

describe("regression 011:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("integers in a key column without a type are found", function()
    fixture.sqlite("a.db", "CREATE TABLE t (id PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3), (4), (5), (6), ('s')")
    local db = fixture.open(fixture.config { auto_migrate = false })
    for i = 1, 6 do assert.equal(i, db:first(i, "SELECT id FROM t WHERE id = ?", { i }).id) end
    assert.equal("s", db:first("s", "SELECT id FROM t WHERE id = ?", { "s" }).id)
  end)
end)
