-- A key column that takes different strings for one had several keys for one row.

local fixture = require "spec.support.fixture"

describe("regression 033:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a table whose key column has the collation RTRIM is left out, with the reason", function()
    fixture.sqlite("a.db", "CREATE TABLE t (id TEXT PRIMARY KEY COLLATE RTRIM); INSERT INTO t VALUES ('x')")
    local db = fixture.open(fixture.config())
    assert.matches("RTRIM", table.concat(db:integration_report("a").issues, "\n"))
  end)
end)
