-- Every PRAGMA was sent as a statement that reads, and the gateway refuses most of them as such.

local fixture = require "spec.support.fixture"
local kinds = require "spec.support.kinds"

describe("regress 334: PRAGMAs on D1 behind the gateway", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  setup(kinds.gateway.start)
  teardown(kinds.gateway.stop)
  before_each(fixture.start)
  after_each(fixture.stop)

  it("are done, alone and in a batch", function()
    local shard = kinds.open(kinds.gateway):shard "a"
    shard:exec [[CREATE TABLE p (id INTEGER PRIMARY KEY);
      CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id))]]
    assert.is_true(shard:run("PRAGMA optimize").success)
    assert.same({ { quick_check = "ok" } }, shard:all "PRAGMA quick_check")
    assert.same({ foreign_keys = 1 }, shard:first "PRAGMA foreign_keys")
    assert.equal("p", shard:first("PRAGMA main.foreign_key_list (c)").table)
    assert.equal("id", shard:all("PRAGMA table_info('p')")[1].name)
    assert.is_true(shard:run("PRAGMA defer_foreign_keys (on)").success) -- of this statement alone
    local results = shard:batch { { "PRAGMA defer_foreign_keys = on" }, { "INSERT INTO c VALUES (1, 7)" },
      { "INSERT INTO p VALUES (7)" }, { "PRAGMA table_info(c)" } }
    assert.equal(1, results[2].meta.changes)
    assert.equal(2, #results[4].results)
    fixture.raises("CONSTRAINT", nil, shard.run, shard, "INSERT INTO c VALUES (2, 8)")
  end)

  it("as words of other statements are no matter", function()
    local shard = kinds.open(kinds.gateway):shard "a"
    assert.same({ { one = 1 } }, shard:all "WITH replace AS (SELECT 1 AS one) SELECT * FROM replace")
    assert.same({}, shard:batch {})
    fixture.raises("UNSUPPORTED", "but batches", shard.transaction, shard, function() end)
  end)
end)
