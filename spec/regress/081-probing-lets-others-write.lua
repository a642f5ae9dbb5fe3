-- While the keys of one shard were looked for in another, whose key column has no index, nobody could write that one: a
-- reader of a file with a rollback journal keeps the writer out, and all keys were looked up in one transaction.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 081:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("integration lets others write the files in which it looks for keys", function()
    for _, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", ([[CREATE TABLE logs (id TEXT, line);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
          INSERT INTO logs SELECT '%s' || i, 'a line of a log, which takes its time to read' FROM n]]):format(name))
    end
    local db = fixture.open(fixture.config { auto_migrate = "background", shards = { a = { busy_timeout = 20 } } })
    local longest, writes = 0, 0
    repeat
      local start = core.now()
      db:run("a7", "UPDATE logs SET line = 'x' WHERE id = ?", { "a7" })
      longest, writes = math.max(longest, core.now() - start), writes + 1
    until db:wait_integration(nil, 0)
    assert.is_true(writes > 10)
    assert.is_true(longest < 900, "a write took " .. longest .. " ms")
    assert.equal("done", db:integration "b".state)
  end)
end)
