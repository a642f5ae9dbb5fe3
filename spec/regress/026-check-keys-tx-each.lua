-- check_keys did not look at each of a routed transaction.

local fixture = require "spec.support.fixture"

describe("regression 026:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("check_keys looks at each of a transaction", function()
    local db = fixture.database("CREATE TABLE t (k TEXT PRIMARY KEY)", { check_keys = true }, { "a" })
    db:insert("y", "INSERT INTO t VALUES ('y')")
    fixture.raises("USAGE", "check_keys", db.transaction, db, "x", function(tx)
      for _ in tx:each "DELETE FROM t RETURNING k" do assert.is_not_nil(tx) end
    end)
    assert.equal(1, db:count "t")
  end)
end)
