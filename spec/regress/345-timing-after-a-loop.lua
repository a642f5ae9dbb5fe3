-- When it was the turn of a loop to be timed, which loops are not, nothing of its shard was timed ever after: the
-- histograms stood still, and no statement was slow.

local fixture = require "spec.support.fixture"

local SLOW <const> = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 100000) "
  .. "SELECT count(*) AS n FROM t"

describe("regression 345:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("statements behind a loop are timed", function()
    local db = fixture.open(fixture.config { slow_query = 0.001 })
    local shard = db:shard "a"
    local before = db:statistics().shards[1]
    for _ in shard:each "SELECT 1" do shard:first "SELECT 2" end
    for _ = 1, 5 do shard:first "SELECT 1" end
    shard:first(SLOW)
    local after = db:statistics().shards[1]
    assert.equal(8, after.reads - before.reads)
    assert.equal(7, after.read.count - before.read.count) -- all but the loop
    assert.is_true(after.slow > before.slow)
  end)

  it("loops are not among what a measurement stands for", function()
    local db = fixture.open(fixture.config())
    local shard = db:shard "a"
    local before = db:statistics().shards[1].read.count
    for _ = 1, 5000 do
      for _ in shard:each "SELECT 1" do end
      shard:first "SELECT 1"
    end
    local counted = db:statistics().shards[1].read.count - before
    assert.is_true(math.abs(counted - 5000) < 260, counted)
  end)
end)
