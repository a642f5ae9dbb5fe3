-- The rate budget of an account: no more requests in any window than the service allows, whoever sends them.

local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"

local made

-- The budget of an account that no other run knows, or of this one: the counts are kept on this machine for a while.
local function new_budget(limit, window, account)
  local budget = net.budget(account or ("spec-%x"):format(core.random()), limit, window)
  if budget:file() then made[#made + 1] = budget:file() end
  return budget
end

describe("the rate budget", function()
  before_each(function()
    fixture.start()
    faults.start()
    made = {}
  end)
  after_each(function()
    faults.stop()
    net.close()
    fixture.stop()
    for _, file in ipairs(made) do os.remove(file) end
  end)

  local function ask(count, path, budget, deadline, fields)
    local requests = {}
    for i = 1, count do
      requests[i] = { url = faults.origin() .. path, write = true, body = "x", budget = budget, deadline = deadline }
      for name, value in pairs(fields or {}) do requests[i][name] = value end
    end
    return net.perform(requests)
  end

  it("lets requests wait until there is room", function()
    local path, budget = faults.play(faults.answers(200)), new_budget(5, 0.7)
    local began = core.now()
    for _, got in ipairs(ask(12, path, budget, 10)) do assert.is_nil(got.error) end
    assert(core.now() - began >= 1380, core.now() - began)
    assert.equal(12, faults.count(path))
  end)

  it("fails at once what would have to wait longer than its deadline, and nothing of it was sent", function()
    local path, budget = faults.play(faults.answers(200)), new_budget(7, 61)
    local began = core.now()
    local late = 0
    for _, got in ipairs(ask(10, path, budget, 5)) do
      if got.error then
        late = late + 1
        assert.same({ "RATE_LIMITED", false, true }, { got.error.code, got.sent, got.error.retryable })
        assert(got.error.retry_after > 50 and got.error.retry_after <= 61)
      end
    end
    assert(core.now() - began < 20000)
    assert.equal(3, late)
    assert.equal(7, faults.count(path))
  end)

  it("is one for all programs of this machine", function()
    local name = ("spec-%x"):format(core.random())
    if not new_budget(9, 62, name):file() then return pending "there is no /dev/shm" end
    local taken = 0
    for _, output in ipairs(fixture.together(4, ([[
      local budget = require "collegedb.net".budget(%q, 9, 62)
      wait_for_go()
      local count = 0
      for _ = 1, 20 do if budget:take() == 0 then count = count + 1 end end
      print(count)]]):format(name))) do taken = taken + tonumber(output) end
    assert.equal(9, taken)
    assert(new_budget(9, 62, name):take() > 0)
  end)

  it("stops all requests of the account after a 429, until it may go on", function()
    local name = ("spec-%x"):format(core.random())
    local busy = faults.play(faults.answers(429, "", "Retry-After: 2\r\n"))
    local path = faults.play(faults.answers(200))
    assert.equal("RATE_LIMITED", ask(1, busy, new_budget(1000, 60, name), 0.3)[1].error.code)
    local got = ask(1, path, new_budget(1000, 60, name), 0.3)[1]
    assert.same({ "RATE_LIMITED", false, 0 }, { got.error.code, got.sent, faults.count(path) })
    assert.is_nil(ask(1, path, new_budget(1000, 60), 0.3)[1].error)
    assert.is_nil(ask(1, path, new_budget(1000, 60, name), 10)[1].error)
  end)

  it("stops when an answer says that nothing is left", function()
    local budget = new_budget(1000, 60)
    local path = faults.play(faults.answers(200, "{}", 'Ratelimit: "default";r=1;t=200\r\n'),
      faults.answers(200, "{}", 'Ratelimit: "default";r=0;t=200\r\n'))
    assert.is_nil(ask(1, path, budget, 1)[1].error)
    assert.is_nil(ask(1, path, budget, 1)[1].error)
    local got = ask(1, path, budget, 1)[1]
    assert.equal("RATE_LIMITED", got.error.code)
    assert(got.error.retry_after > 100)
    assert.equal(2, faults.count(path))
  end)
end)
