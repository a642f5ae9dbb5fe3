-- A program whose lease at a directory without transactions had run out entered it again when it claimed a piece of
-- work, but as one that works in no placement: so the one that it placed keys by was dropped under its feet, and rows
-- that it inserted were found by nobody else.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local function open()
  local settings = fixture.config()
  settings.kv = fixture.single "directory.db"
  return fixture.open(settings)
end

describe("a program that claims work after its lease has run out", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("still is seen working in its placement", function()
    local slow, quick = open(), open()
    quick:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    local dir = core.state(slow).directory
    dir.presence.ends = 0
    dir.presence.store:run("DELETE FROM _collegedb_users WHERE id = ?", { dir.presence.id })
    assert.is_true(dir:claim_work(7))
    dir:release_work(7)
    local keys = {}
    for i = 1, 30 do
      keys[i] = "user" .. i
      assert.is_nil(slow:first(keys[i], "SELECT id FROM users WHERE id = ?", { keys[i] }))
    end
    quick:add_shard { name = "c", fixture.path "c.db" }
    assert.is_true(quick:rebalance().waiting)
    for _, key in ipairs(keys) do slow:insert(key, "INSERT INTO users VALUES (?)", { key }) end
    for _, key in ipairs(keys) do
      assert.equal(key, (quick:first(key, "SELECT id FROM users WHERE id = ?", { key }) or {}).id)
    end
  end)
end)
