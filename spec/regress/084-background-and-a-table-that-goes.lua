-- A table that was dropped while its shard was integrated in the background made that fail until the next open.

local fixture = require "spec.support.fixture"

local ROWS <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
    INSERT INTO users SELECT 'u' || i FROM n;
  CREATE TABLE zones (id TEXT PRIMARY KEY); INSERT INTO zones VALUES ('z')]]

describe("regression 084:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("integration in the background is planned again without a table that was dropped", function()
    fixture.sqlite("a.db", ROWS)
    fixture.sqlite("a.db", "PRAGMA journal_mode = WAL")
    local db = fixture.open(fixture.config({ auto_migrate = "background" }, { "a" }))
    repeat db:wait_integration(nil, 0.001) until db:integration "a".state ~= "waiting"
    db:shard "a":exec "DROP TABLE zones"
    assert.is_true(db:wait_integration(nil, 30))
    assert.equal("done", db:integration "a".state)
    assert.is_nil(db:integration "a".error)
    assert.equal(50000, db:integration_report "a".total_records)
  end)
end)
