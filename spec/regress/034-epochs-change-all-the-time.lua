-- Integration gave up with BUSY after ten changes of the epoch, also when they had nothing to do with its shard.

local fixture = require "spec.support.fixture"

describe("regression 034:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a shard is integrated while others are integrated and rolled back all the time", function()
    fixture.sqlite("a.db", [[CREATE TABLE t (k TEXT PRIMARY KEY);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
        INSERT INTO t SELECT 'x' || i FROM n]])
    fixture.sqlite("b.db", "CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('y')")
    local db = fixture.open(fixture.config { auto_migrate = false })
    local other = fixture.open(fixture.config { auto_migrate = false })
    local changes = 0
    local report = db:integrate("a", { page = 5, on_progress = function()
      changes = changes + 1
      if changes <= 15 then other[changes % 2 == 0 and "rollback" or "integrate"](other, "b") end
    end })
    assert.is_true(changes > 15)
    assert.is_true(report.success)
    assert.equal(100, report.total_records)
    assert.equal(100, report.mappings_created)
    for i = 1, 100 do assert.equal("a", (other:locate("x" .. i))) end
  end)
end)
