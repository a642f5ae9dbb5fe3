-- A mover that was taken for dead went on between two steps of the recovery that undid its move: the source was asked
-- before the key was sent, and the target forgot the move before it was committed. The rows were reached by nobody.
-- (Found by spec/model: STALE_RECOVERY.)

local core = require "collegedb.core"
local fence = require "collegedb.fence"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local recovery = require "collegedb.recovery"

describe("a mover that goes on while it is undone", function()
  local step = fence.step
  before_each(fixture.start)
  after_each(function()
    fence.step = step
    fixture.stop()
  end)

  -- A mover that stops after each step.
  local function begin(db, key)
    local mover = coroutine.create(function()
      return pcall(move.run, core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2,
        on_step = coroutine.yield })
    end)
    return function(last)
      local answer
      while answer ~= last and coroutine.status(mover) ~= "dead" do answer = select(2, coroutine.resume(mover)) end
      return answer
    end
  end

  -- The recovery's steps, before the one of this number of which the mover goes on until it has copied.
  local function recover(state, go_on, number)
    fence.step = function(...)
      number = number - 1
      if number == 0 then
        fence.step = step
        go_on "copy"
      end
      return step(...)
    end
    recovery.run(state, true)
    fence.step = step
  end

  for number = 1, 4 do
    it("loses no rows, before step " .. number, function()
      local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
      local key, other = fixture.key_on(db, "a"), fixture.open(fixture.config())
      db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      local go_on = begin(db, key)
      assert.equal("receive", (go_on "receive"))
      recover(core.state(other), go_on, number)
      go_on "the end" -- or until it is told
      recovery.run(core.state(other), true)
      other:flush_cache()
      assert.equal(1, other:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      assert.equal(1, other:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes)
      assert.equal(1, (other:count "users"))
      assert.equal(0, other:verify().counts.leftover)
    end)
  end
end)
