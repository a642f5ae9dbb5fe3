-- A statement on all shards was begun on each before it ran on the first: the time of the earlier ones counted as that
-- of the later ones too, so that one slow file made all behind it slow.

local fixture = require "spec.support.fixture"

local SLOW_ON_A <const> = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t "
  .. "WHERE n < (SELECT most FROM bound)) SELECT count(*) AS n FROM t"

describe("regression 346:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("what a statement takes on one shard is not the next one's", function()
    local db = fixture.database("CREATE TABLE IF NOT EXISTS bound (id TEXT PRIMARY KEY, most INTEGER)",
      { slow_query = 100 })
    db:shard("a"):run "INSERT INTO bound VALUES ('x', 500000)"
    db:shard("b"):run "INSERT INTO bound VALUES ('x', 1)"
    db:run_all_shards(SLOW_ON_A)
    local a, b = table.unpack(db:statistics().shards)
    assert.is_true(b.read.max < a.read.max / 2, ("%f and %f"):format(a.read.max, b.read.max))
  end)
end)
