-- A file that another connection held for a quarter of a second when the thread opened it made the integration fail.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = "CREATE TABLE users (id TEXT PRIMARY KEY);"

describe("regression 080:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("integration in the background waits for a file that others hold", function()
    -- Enough for the thread to be at work on a when b is held.
    fixture.sqlite("a.db", SCHEMA .. [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
      INSERT INTO users SELECT 'u' || i FROM n]])
    fixture.sqlite("b.db", SCHEMA)
    fixture.sqlite("c.db", SCHEMA .. "INSERT INTO users VALUES ('c1')")
    local db = fixture.open(fixture.config({ auto_migrate = "background", shards = { c = { busy_timeout = 0.1 } } },
      { "a", "b", "c" }))
    local holder = core.sqlite(fixture.path "c.db", {})
    holder:exec "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE more (x)"
    db:wait_integration("c", 1)
    assert.not_equal("failed", db:integration "a".state)
    assert.not_equal("failed", db:integration "c".state)
    core.close(holder)
    assert.is_true(db:wait_integration(nil, 30))
    assert.equal("done", db:integration "c".state)
    assert.equal("c", (db:locate "c1"))
  end)
end)
