-- With a transaction open on one shard and a schema that had changed, calls to other shards were BUSY.

local fixture = require "spec.support.fixture"

describe("regression 009:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a transaction leaves the other shards alone", function()
    local db = fixture.database "CREATE TABLE t (k TEXT PRIMARY KEY)"
    local on_a, on_b = fixture.key_on(db, "a"), fixture.key_on(db, "b")
    db:shard("a"):exec "CREATE TABLE z (id TEXT PRIMARY KEY)"
    db:transaction(on_a, function(tx)
      assert.same({}, db:all(on_b, "SELECT 1 FROM t WHERE k = ?", { on_b }))
      tx:run "CREATE TABLE zz (id TEXT PRIMARY KEY)"
      assert.same({}, db:all(on_b, "SELECT 2 FROM t WHERE k = ?", { on_b }))
    end)
  end)
end)
