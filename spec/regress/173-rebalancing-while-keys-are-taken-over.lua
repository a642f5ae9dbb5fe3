-- A key of existing data was moved to its home after an integration had read it, and before that wrote where it
-- was. The entry named the old shard, and once what that remembered was forgotten, the key was not found any more.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local extra = { auto_migrate = false, forward_retention = 0, mapping_cache_ttl = 1 }

describe("rebalancing while a shard is integrated", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("leaves no entry that names the shard which a key has left", function()
    fixture.sqlite("a.db", [[CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
      WITH RECURSIVE i(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM i WHERE n < 400)
      INSERT INTO users SELECT 'u' || n, n FROM i]])
    fixture.sqlite("b.db", "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)")
    local db, other, moved = fixture.open(fixture.config(extra)), fixture.open(fixture.config(extra)), 0
    db:integrate("a", { page = 400, batch = 10, on_progress = function()
      if moved == 0 then moved = other:rebalance().moved end
    end })
    assert.is_true(moved > 100)
    assert.is_true(db:integrate("a").success)
    for _ = 1, 25 do core.pause(100) end
    db = fixture.open(fixture.config(extra))
    for i = 1, 400 do
      assert.equal(i, (db:first("u" .. i, "SELECT n FROM users WHERE id = ?", { "u" .. i }) or {}).n)
    end
    assert.is_true(db:verify().success)
  end)
end)
