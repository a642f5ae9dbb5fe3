-- A lookup that found no entry was put together with the record of a later epoch, in which the shard was integrated
-- again and no longer probed: the row was not found.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 031:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a row is found while others roll back and integrate", function()
    fixture.sqlite("a.db", [[CREATE TABLE t (k TEXT PRIMARY KEY);
      INSERT INTO t VALUES ('x1'), ('x2'), ('x3'), ('x4'), ('x5'), ('x6'), ('x7'), ('x8')]])
    fixture.sqlite("b.db", "CREATE TABLE t (k TEXT PRIMARY KEY)")
    local reader = fixture.open(fixture.config { auto_migrate = false })
    local other = fixture.open(fixture.config { auto_migrate = false })
    other:integrate "b"
    other:integrate "a"
    local directory = core.state(reader).directory
    local lookup = directory.lookup
    for i = 1, 8 do
      other:rollback "a"
      -- The other program integrates just after the reader has looked into the directory.
      directory.lookup = function(...)
        directory.lookup = lookup
        local answer = table.pack(lookup(...))
        other:integrate "a"
        return table.unpack(answer, 1, answer.n)
      end
      local key = "x" .. i
      assert.same({ k = key }, reader:first(key, "SELECT * FROM t WHERE k = ?", { key }))
      assert.equal(lookup, directory.lookup, "the reader did not look into the directory")
    end
  end)
end)
