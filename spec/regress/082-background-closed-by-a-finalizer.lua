-- A finalizer that closed the database while the state of its background was read left C with freed memory. (What was
-- read there is told by a sanitizer; without one the numbers were wrong, or nothing was seen.)

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 082:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a finalizer may close a database while its integration is asked for", function()
    local names = {}
    for i = 1, 20 do
      names[i] = "s" .. i
      fixture.sqlite(names[i] .. ".db", ("CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('k%d')"):format(i))
    end
    for round = 1, 5 do
      local kv = fixture.path(("directory%d.db"):format(round))
      local db = fixture.open(fixture.config({ auto_migrate = "background", kv = kv }, names))
      collectgarbage()
      local before <const> = collectgarbage("setpause", 0)
      fixture.raises("CLOSED", nil, function()
        setmetatable({}, { __gc = function() db:close() end })
        for _ = 1, 1e6 do core.background_parts(db) end
      end)
      collectgarbage("setpause", before)
      assert.is_false(core.is_open(db))
    end
  end)
end)
