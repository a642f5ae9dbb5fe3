-- A key was deleted, and inserted again at its new home, after a rebalance had planned to move it there: it counted as
-- failed, and the old placement was kept. With keys that come and go all the time no rebalance succeeded.

local fixture = require "spec.support.fixture"

describe("rebalancing while keys are deleted and inserted again", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("leaves alone what has gone to its new home by itself", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    for i = 1, 90 do db:insert("u" .. i, "INSERT INTO users VALUES (?, ?)", { "u" .. i, i }) end
    db:add_shard { name = "c", fixture.path "c.db" }
    local other, planned, again = fixture.open(fixture.config(nil, { "a", "b", "c" })), {}, 0
    local report = db:rebalance { policy = function(key, _, info)
      local at = other:locate(key)
      if at == "b" then
        for _, each in ipairs(planned) do
          other:run(each, "DELETE FROM users WHERE id = ?", { each })
          other:insert(each, "INSERT INTO users VALUES (?, 0)", { each })
          again = again + 1
        end
        planned = {}
      end
      if info.home == at then return nil end
      if at == "a" and #planned < 5 then planned[#planned + 1] = key end
      return info.home
    end }
    assert.equal(5, again)
    assert.equal(0, report.failed_count)
    assert.is_true(report.success)
    assert.equal(90, db:count "users")
    assert.is_true(db:verify().success)
  end)
end)
