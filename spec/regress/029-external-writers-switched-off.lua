-- Rows that others wrote while a shard had external writers were lost when that was switched off.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 029:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("rows that others wrote are found after external_writers is switched off", function()
    local schema = "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY)"
    fixture.database(schema, { shards = { b = { external_writers = true } } }):close()
    local other = core.sqlite(fixture.path "b.db", {})
    for i = 1, 8 do other:run("INSERT INTO t VALUES (?)", { "x" .. i }) end
    core.close(other)
    for _, auto_migrate in ipairs { false, true } do
      local db = fixture.open(fixture.config { auto_migrate = auto_migrate })
      for i = 1, 8 do assert.is_not_nil(db:first("x" .. i, "SELECT k FROM t WHERE k = ?", { "x" .. i })) end
      db:close()
    end
  end)
end)
