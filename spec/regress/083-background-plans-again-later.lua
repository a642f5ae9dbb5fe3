-- When a plan was void, and could not be made again because a file was held just then, it never was made again.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = "CREATE TABLE users (id TEXT PRIMARY KEY);"
local ROWS <const> = [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
  INSERT INTO users SELECT '%s' || i FROM n]]

describe("regression 083:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("integration in the background is planned again when the file is free", function()
    for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", SCHEMA .. ROWS:format(name)) end
    local fields = { auto_migrate = "background", shards = { a = { busy_timeout = 0.1 }, b = { busy_timeout = 0.1 } } }
    local db = fixture.open(fixture.config(fields))
    local other = fixture.open(fixture.config { auto_migrate = false })
    other:rollback "a" -- the plan is void
    other:rollback "b"
    local holder = core.sqlite(fixture.path "b.db", {})
    holder:exec "PRAGMA busy_timeout = 5000; PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE more (x)"
    assert.is_false(db:wait_integration(nil, 1))
    core.close(holder)
    assert.is_true(db:wait_integration(nil, 30))
    for i, name in ipairs { "a", "b" } do
      assert.equal("done", db:integration(name).state)
      assert.is_true(db:get_shard_stats()[i].integrated)
    end
  end)
end)
