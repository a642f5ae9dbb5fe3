-- One attempt at a scenario with a fault at the n-th file call, and all attempts of a sweep.
--
-- Four processes take part: one that opened the files before and has its own view of them, the one that is struck, one
-- that comes later and recovers, and the checker.

local checker = require "spec.campaign.checker"
local errors = require "collegedb.errors"
local faultvfs = require "faultvfs"
local forks = require "forks"
local world = require "spec.campaign.world"
local writer = require "spec.campaign.writer"

local sweep = {}

local STRUCK <const> = 99

---What is tried at each call; `steps` at each step of the scenario instead, `long` not in a short run,
-- `share` only one of so many points: others may have to wait for the one that is stopped.
sweep.faults = {
  { name = "kill after a step", action = "exit", kills = true, steps = true },
  { name = "kill", action = "exit", kills = true },
  { name = "kill in a write", action = "tear", calls = "write", kills = true },
  { name = "stopped past its lease", action = "stop", stops = true, share = 20 },
  { name = "I/O error", action = "ioerr" },
  { name = "I/O errors from then on", action = "ioerr", lasting = true, long = true },
  { name = "disk full", action = "full", long = true },
  { name = "disk full from then on", action = "full", lasting = true },
  { name = "busy", action = "busy" },
  { name = "busy from then on", action = "busy", lasting = true, long = true },
  { name = "power cut", action = "cut", calls = "write truncate sync delete", kills = true, alone = true },
  { name = "power cut, writes in any order", action = "cut", calls = "write truncate sync delete", kills = true,
    alone = true, seeded = true },
}

local WAITS <const> = { MOVING = true, MOVED = true, BUSY = true }

-- --- the process that is struck ------------------------------------------------------------

local function arming(fault, n)
  return { at = fault.steps and 0 or n, action = fault.action, calls = fault.calls, lasting = fault.lasting,
    seed = fault.seeded and 88172645463325252 + n or 0 }
end

local function check_clean(err)
  if not errors.is_error(err) or err.code == "INTERNAL" or err.code == "SQL" then
    error("no clean error: " .. tostring(err), 0)
  end
end

-- What the scenario calls after each step: others write then, or it is the last one.
local function on_step(w, fault, n, me)
  local steps = 0
  return function()
    steps = steps + 1
    if fault.steps and steps == n then forks.exit(STRUCK) end
    if not me then return end
    local done, err = pcall(me.act, me, w:keys_of("c")[1], "count")
    if not done then check_clean(err) end
  end, function() return steps end
end

-- Opened, and struck meanwhile or later.
local function attempt(w, scenario, shim, fault, n)
  local db, me
  if not scenario.opens then
    db = w:open { move_deadline = 0.02 }
    me = writer.new(db, w:path "log-struck", "struck")
    me.open = true
  end
  local hook, steps = on_step(w, fault, n, me)
  shim:arm(arming(fault, n))
  local done, result = pcall(scenario.run, w, db, hook)
  local calls, struck = shim:disarm()
  if not done then
    if not struck then error(result, 0) end
    check_clean(result)
  end
  return db or done and result, fault.steps and steps() or calls, struck
end

local function be_struck(w, scenario, fault, n)
  return function(_, to)
    local shim = faultvfs.install(fault.action == "cut")
    local db, calls, struck = attempt(w, scenario, shim, fault, n)
    if not db then db = w:open { move_deadline = 0.02 } end
    writer.new(db, w:path "log-after", "after", WAITS):round { w.keys[1], w.keys[#w.keys] }
    db:close()
    to:write(calls, " ", struck or "-")
    return 0
  end
end

-- --- the others -------------------------------------------------------------------------------

-- Knows where all keys were before.
local function be_stale(w, hurried)
  return function(from, to)
    if hurried then faultvfs.install() end
    local db = w:open { move_deadline = 0.01 }
    local me = writer.new(db, w:path "log-stale", "stale", WAITS)
    for _, key in ipairs(w.keys) do db:first(key, "SELECT n FROM users WHERE id = ?", { key }) end
    to:write "ready\n"
    to:flush()
    for line in from:lines() do
      if line == "recovered" then me.allowed = {} end
      local done, err = pcall(me.round, me, { w.keys[1], w.keys[2], w.keys[#w.keys] })
      to:write(done and "ok" or "the stale process, " .. line .. ": " .. tostring(err), "\n")
      to:flush()
      if line == "recovered" then break end
    end
    db:close()
    return 0
  end
end

local function recover(w, scenario)
  return function()
    world.later()
    local db <close> = w:open { auto_migrate = true }
    local report = db:verify()
    for kind, n in pairs(report.counts) do
      if n > 0 then error(("verify: %d %s"):format(n, kind), 0) end
    end
    if scenario.after then scenario.after(w, db) end
    return 0
  end
end

---What a process does that takes over from all movers now, as if their leases had run out, while others go on.
---@param hurried boolean? does not sleep while it waits for a lock
function sweep.recover_now(w, hurried)
  return function()
    if hurried then faultvfs.install() end
    world.later()
    local done, db = pcall(w.open, w)
    if done then db:close() elseif not errors.is_error(db, "BUSY") then error(db, 0) end
    return 0
  end
end

local Stale = {}
Stale.__index = Stale

function Stale.start(w, hurried)
  local self = setmetatable({}, Stale)
  self.pid, self.from, self.to = forks.start(be_stale(w, hurried))
  assert(self.from:read "l" == "ready", "the stale process did not start")
  return self
end

function Stale:tell(what)
  self.to:write(what, "\n")
  self.to:flush()
  local answer = self.from:read "l"
  if answer ~= "ok" then error(answer or "the stale process died", 0) end
end

function Stale:finish()
  self.to:close()
  self.from:close()
  forks.wait(self.pid)
end

-- Others take it for dead while it is stopped; what it was in the middle of, they may have to wait for.
local function go_on_without(w, pid, stale)
  local done, err = pcall(function()
    world.child(sweep.recover_now(w, true))
    stale:tell "struck"
  end)
  forks.kill(pid, done and "CONT" or "KILL")
  local status = forks.wait(pid)
  if not done then error(err, 0) end
  return status
end

local function strike(w, scenario, fault, n, stale)
  local pid, from, into = forks.start(be_struck(w, scenario, fault, n))
  local status = forks.wait(pid, true)
  if status == "stopped" then status = go_on_without(w, pid, stale) end
  local text = from:read "a"
  from:close()
  into:close()
  if status ~= 0 and status ~= STRUCK then error(("it ended with %d: %s"):format(status, text), 0) end
  return status, text
end

-- --- a sweep ------------------------------------------------------------------------------------

---One attempt.
---@return boolean struck, integer calls, integer acknowledged
function sweep.try(w, scenario, fault, n)
  w:reset()
  w.busy_timeout = (fault.action == "busy" or fault.stops) and 0.02 or nil
  local stale <close> = setmetatable({}, { __close = function(s) if s.one then s.one:finish() end end })
  if not fault.alone then stale.one = Stale.start(w, fault.stops) end
  local status, text = strike(w, scenario, fault, n, stale.one)
  local calls, struck = text:match "^(%d+) (%S+)"
  if stale.one then stale.one:tell "struck" end
  world.child(recover(w, scenario))
  if stale.one then stale.one:tell "recovered" end
  if stale.one then stale.one:finish() end
  stale.one = nil
  local report = checker.check(w:files(), w:database "directory", w:ledgers())
  if #report.wrong > 0 then error(checker.failure(report), 0) end
  return status == STRUCK or struck ~= "-", tonumber(calls) or 0, report.acknowledged
end

-- Up to `limit` numbers of 1 … total, evenly spread.
local function points(total, limit, seed)
  local list = {}
  local count = math.min(total, limit)
  local shift = seed % math.max(1, total // math.max(count, 1))
  for i = 0, count - 1 do list[#list + 1] = math.min(total, 1 + i * total // count + shift) end
  return list
end

---@param w table the scenario's world
---@param limit integer points
---@return table counts { calls, points, struck, acknowledged, failed, kinds }
function sweep.run(w, scenario, fault, limit, seed, tell)
  local counts = { points = 0, struck = 0, acknowledged = 0, failed = {}, kinds = {} }
  local function one(n)
    local done, struck, calls, acknowledged = pcall(sweep.try, w, scenario, fault, n)
    if not done then
      checker.count_failure(counts, ("%s, %s at call %d"):format(scenario.name, fault.name, n), struck)
      if tell then tell(counts.failed[#counts.failed]) end
      return 0
    end
    if n > 0 then counts.points, counts.struck = counts.points + 1, counts.struck + (struck and 1 or 0) end
    counts.acknowledged = counts.acknowledged + acknowledged
    return calls
  end
  counts.calls = one(0)
  limit = fault.share and math.ceil(limit / fault.share) or limit
  for _, n in ipairs(points(counts.calls, limit, seed)) do one(n) end
  return counts
end

sweep.recover = recover

return sweep
