-- The report counted the rows of a table with a composite key as keys: "1 of 3 keys" where there was one.

local fixture = require "spec.support.fixture"

describe("an issue about conflicts", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("counts keys, not rows", function()
    for _, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", [[CREATE TABLE t (k TEXT, n INTEGER, PRIMARY KEY (k, n));
        INSERT INTO t VALUES ('x', 1), ('x', 2), ('x', 3)]])
    end
    local db = fixture.open(fixture.config { auto_migrate = false })
    db:integrate "a"
    local report = db:integrate "b"
    assert.matches("^1 of 1 keys of table t", report.issues[1])
    assert.equal(3, report.total_records)
  end)
end)
