-- An interrupt right after a transaction had begun, or right before its commit, left it open: every later call on
-- the shard raised BUSY.

local fixture = require "spec.support.fixture"

describe("a transaction that is interrupted", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is rolled back, or committed, wherever that is", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    local shard, at, open = db:shard "a", 0, 0
    local done
    shard:run "INSERT INTO users VALUES ('k', 1)"
    repeat
      at = at + 1
      done = pcall(function()
        debug.sethook(function()
          debug.sethook()
          error "interrupted!"
        end, "", at)
        shard:transaction(function(tx) tx:run "UPDATE users SET n = n + 1" end)
        debug.sethook()
      end)
      if not pcall(shard.first, shard, "SELECT n FROM users") then
        open = open + 1
        collectgarbage() -- the finalizer ends it
      end
    until done
    assert.is_true(at > 20)
    assert.is_true(open <= 1, open .. " left open") -- where begin has returned, and its result is not in a variable yet
  end)
end)
