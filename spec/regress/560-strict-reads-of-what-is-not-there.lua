-- With consistency = "strict" a read of a key without rows is done a second time, lest the key left and came back. It
-- slept between the two: each such read took ten times as long, once a key of the shard had moved.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 560:", function()
  local pause, pauses = core.pause, 0

  before_each(function()
    fixture.start()
    pauses = 0
    function core.pause(ms)
      pauses = pauses + 1
      pause(ms)
    end
  end)

  after_each(function()
    core.pause = pause
    fixture.stop()
  end)

  it("a strict read that meets nothing does not wait", function()
    local db = fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)", { consistency = "strict" })
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    db:reassign_shard(key, "b")
    pauses = 0
    for i = 1, 20 do assert.is_nil(db:first("nobody" .. i, "SELECT id FROM users WHERE id = ?", { "nobody" .. i })) end
    assert.is_nil(db:first(key, "SELECT id FROM users WHERE id = ? AND id = 'nobody'", { key }))
    assert.same({}, db:all(key, "SELECT id FROM users WHERE id = 'nobody'"))
    assert.equal(0, pauses)
  end)
end)
