-- A line of the journal whose mover is gone, as one that a lost answer had made a second time, kept an earlier
-- placement from being dropped until some program opened the database anew.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("a line of the journal that no program goes on with", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for what, kv in pairs { ["a file"] = false, ["a directory without transactions"] = true } do
    it("keeps no placement from being dropped: " .. what, function()
      local settings = fixture.config()
      if kv then settings.kv = fixture.single "directory.db" end
      local db = fixture.open(settings)
      db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
      for i = 1, 20 do db:insert("u" .. i, "INSERT INTO users VALUES (?)", { "u" .. i }) end
      local dir = core.state(db).directory
      db:add_shard { name = "c", fixture.path "c.db" }
      local number = dir:begin_move { keyspace = "", digests = "", source = 1, target = 2, epoch = dir:epoch(),
        floor = 1, lease = -1 }
      assert.is_number(number)
      local report = db:rebalance()
      assert.same({ true, false }, { report.retired, report.waiting })
    end)
  end
end)
