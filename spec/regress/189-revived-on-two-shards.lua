-- Weights changed and changed back: a key without rows was sent from a to b and from b to a. Two programs, one still in
-- the placement between, each let it live again on one of them, and both inserted it. (Found by spec/model:
-- REVIVE_UNLOCKED.)

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local forward = require "collegedb.forward"
local moved = require "collegedb.moved"

local INSERT = "INSERT INTO users VALUES (?, ?)"

local function open(weight)
  return fixture.open(fixture.config { move_deadline = 1, shards = { a = { weight = weight } } })
end

describe("a key that was sent there and back without rows", function()
  local follow = forward.follow
  before_each(fixture.start)
  after_each(function()
    forward.follow = follow
    fixture.stop()
  end)

  local function sent_ahead()
    local first = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER CHECK (n > 0))"
    local homes = {}
    for i = 1, 100 do homes[i] = first:locate("k" .. i) end
    local between, key = open(0.05), nil
    for i = 1, 100 do
      if homes[i] == "a" and between:locate("k" .. i) == "b" then key = "k" .. i end
    end
    fixture.raises("CONSTRAINT", nil, between.insert, between, key, INSERT, { key, -1 })
    return between, key
  end

  -- A program sends it back, and stops there.
  local function send_back(key)
    local last = open(1)
    core.state(last).directory.shard:run "PRAGMA busy_timeout = 50"
    assert.is_true(forward.send_ahead(core.state(last), 2, 1, "", key))
    return last
  end

  it("is inserted once", function()
    local between, key = sent_ahead()
    local looks, last = 0, nil
    function forward.follow(state, ...)
      if state ~= core.state(between) then return follow(state, ...) end
      looks = looks + 1
      if looks == 2 then last = send_back(key) end
      local results = table.pack(follow(state, ...))
      if looks == 3 then pcall(last.insert, last, key, INSERT, { key, 3 }) end
      return table.unpack(results, 1, results.n)
    end
    -- Its statement was refused on a.
    pcall(moved.run, core.state(between), between, "run", key, INSERT, { key, 2 }, 1, "refused")
    forward.follow = follow
    assert.is_true(looks >= 3)
    pcall(last.insert, last, key, INSERT, { key, 4 })
    assert.equal(1, #fixture.holders({ "a", "b" }, "users", "id", key))
    assert.equal(1, (last:count "users"))
    assert.is_not_nil(last:first(key, "SELECT n FROM users WHERE id = ?", { key }))
  end)

  it("is read as none", function()
    local _, key = sent_ahead()
    local last = send_back(key)
    assert.is_nil(last:first(key, "SELECT n FROM users WHERE id = ?", { key }))
    assert.equal(0, last:run(key, "UPDATE users SET n = 1 WHERE id = ?", { key }).meta.changes)
  end)
end)
