-- The column names of a result without rows were those of before a schema change by another program.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 020:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("the names of a result without rows follow the schema", function()
    local db = fixture.database("CREATE TABLE t (a)", nil, { "a" })
    assert.same({ "a" }, db:run("k", "SELECT * FROM t").columns)
    local other = core.sqlite(fixture.path "a.db", {})
    other:exec "ALTER TABLE t ADD COLUMN b"
    core.close(other)
    assert.same({ "a", "b" }, db:run("k", "SELECT * FROM t").columns)
  end)
end)
