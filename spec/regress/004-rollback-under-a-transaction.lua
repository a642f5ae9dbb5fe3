-- INSERT OR ROLLBACK ended the transaction under its tx, and what followed was committed statement by statement.

local fixture = require "spec.support.fixture"

describe("regression 004:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("nothing is kept after SQLite rolled a transaction back", function()
    local db = fixture.database "CREATE TABLE t (k TEXT PRIMARY KEY)"
    local shard = db:shard "a"
    local ok, e = pcall(shard.transaction, shard, function(tx)
      tx:run "INSERT INTO t VALUES ('A')"
      pcall(tx.run, tx, "INSERT OR ROLLBACK INTO t VALUES ('A')")
      tx:transaction(function(inner) inner:run "INSERT INTO t VALUES ('B')" end)
    end)
    assert.is_false(ok)
    assert.is_not_nil(e)
    assert.equal(0, db:count "t")
    shard:transaction(function(tx) tx:run "INSERT INTO t VALUES ('C')" end)
  end)
end)
