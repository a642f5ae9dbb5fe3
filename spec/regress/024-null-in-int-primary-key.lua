-- A row with a NULL key in an INT PRIMARY KEY, which is no rowid alias, was not reported.

local fixture = require "spec.support.fixture"

describe("regression 024:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a NULL in an INT PRIMARY KEY is reported", function()
    fixture.sqlite("a.db", "CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (NULL)")
    local db = fixture.open(fixture.config({ auto_migrate = false }, { "a" }))
    local report = db:integrate "a"
    assert.equal(2, report.total_records)
    assert.matches("1 rows? of table t", report.issues[1])
  end)
end)
