-- A load: eight programs work on 32 shards, are killed, stopped and recovered from, and started anew. Every now and
-- then all of them end, what is left is recovered, and the files are checked.

local checker = require "spec.campaign.checker"
local forks = require "forks"
local ledger = require "spec.campaign.ledger"
local lfs = require "lfs"
local meter = require "spec.load.meter"
local roles = require "spec.load.roles"
local sweep = require "spec.campaign.sweep"
local world = require "spec.campaign.world"

local load = {}

local PROGRAMS <const> = { "client", "client", "client", "client", "client", "mover", "grower", "integrator" }
local STALL <const> = 10 -- seconds that a write may take while nothing is stopped
local KILLED <const> = 128 + 9
local SHOWN <const> = 20 -- of what is wrong

local Load = {}
Load.__index = Load

local function add(counts, name, n) counts[name] = (counts[name] or 0) + (n or 1) end

-- --- starting and ending programs ---------------------------------------------------------------------

function Load:start(i)
  self.number = self.number + 1
  local what = PROGRAMS[i]
  local run = roles[what](self.fleet, what .. self.number, self.seed * 1000 + self.number, self.begun)
  local pid, from = forks.start(run)
  self.programs[i] = { pid = pid, from = from, what = what }
end

-- What ended by itself before its time has failed.
local function finish(program, killed)
  if killed then forks.kill(program.pid, "KILL") end
  local text = program.from:read "a"
  program.from:close()
  local status = forks.wait(program.pid)
  program.ended = true
  if status ~= 0 and not (killed and status == KILLED) then
    error(("a %s ended with %d: %s"):format(program.what, status, text), 0)
  end
end

-- --- what happens to them -------------------------------------------------------------------------------

local faults = {}

function faults.kill(self, i)
  finish(self.programs[i], true)
  add(self.counts.faults, "kill of a " .. PROGRAMS[i])
  if math.random(3) == 1 then faults.recover(self) end
  self:start(i)
end

local function stop(self, i, seconds, f)
  local from = forks.now()
  forks.kill(self.programs[i].pid, "STOP")
  forks.pause(seconds)
  if f then f(self) end
  forks.kill(self.programs[i].pid, "CONT")
  table.insert(self.stops, { from = from, to = forks.now() })
end

function faults.stop(self, i)
  stop(self, i, math.random() * 1.5)
  add(self.counts.faults, "stop of a " .. PROGRAMS[i])
end

-- It sleeps past its lease, and wakes up when it has been recovered from.
function faults.outlive(self, i)
  stop(self, i, 0, faults.recover)
  add(self.counts.faults, "stop past its lease")
end

function faults.recover(self)
  world.child(sweep.recover_now(self.fleet))
  add(self.counts.faults, "recovery")
end

local DICE <const> = { "kill", "kill", "kill", "stop", "outlive", "outlive", "recover" }
-- Rather those that move something.
local WHOM <const> = { 1, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7, 8, 8 }

-- --- looking at what is there ------------------------------------------------------------------------------

-- Every user is found by who opens the files now, and some of the orders by their own keys.
local function check_reach(fleet, found)
  local db <close> = fleet:open()
  for name, there in pairs(found) do
    local what, id = name:match "^(%a+):(.+)$"
    local sql = what == "users" and "SELECT n FROM users WHERE id = ?"
      or what == "orders" and math.random(50) == 1 and "SELECT user_id || '/' || n AS n FROM orders WHERE id = ?"
    local row = sql and db:first(id, sql, { id })
    if sql and (not row or tostring(row.n) ~= there.value) then
      error(("lost: %s is %s on %s, and reads as %s"):format(name, there.value, there.shard, row and row.n), 0)
    end
  end
end

-- In a process of its own, whose memory goes with it: the ledgers are read, and begin anew with what was found.
local function look(fleet)
  return function(_, to)
    local report = checker.check(fleet:files(), fleet:database "directory", fleet:ledgers())
    to:write(("acknowledged %d\nrows %d\n"):format(report.acknowledged, report.rows))
    for kind, n in pairs(report.kinds) do to:write(("kind %d %s\n"):format(n, kind)) end
    for i = 1, math.min(SHOWN, #report.wrong) do to:write("wrong ", report.wrong[i], "\n") end
    if #report.wrong > 0 then return 0 end
    check_reach(fleet, report.found)
    for _, path in ipairs(fleet:ledgers()) do os.remove(path) end
    ledger.begin_anew(fleet:path "log-found", report.found, function(name) return report.known[name].counts end)
    return 0
  end
end

-- Writes that waited for too long, without the time in which a program was stopped.
local function check_stalls(self, slow)
  for _, each in ipairs(slow) do
    local waited = each.to - each.from
    for _, one in ipairs(self.stops) do
      waited = waited - math.max(0, math.min(one.to, each.to) - math.max(one.from, each.from))
    end
    self.counts.longest = math.max(self.counts.longest, waited)
    if waited > STALL then
      add(self.counts.kinds, "stalled")
      table.insert(self.counts.wrong, ("stalled: %s took %.1f s, to %.6f"):format(each.name, waited, each.to))
    end
  end
end

-- Writes that were refused, and no program was stopped for so long that they had to be.
local function check_refused(self, refused)
  for _, each in ipairs(refused) do
    local about = false
    for _, one in ipairs(self.stops) do about = about or (one.from < each.at and one.to > each.at - STALL) end
    if not about then
      add(self.counts.kinds, "refused")
      table.insert(self.counts.wrong, ("refused at %.6f, and nothing was stopped: %s"):format(each.at, each.why))
    end
  end
end

local function read_meters(self)
  local sum = { counts = self.counts.done, slow = {}, refused = {} }
  meter.add(sum, self.fleet:meters())
  for _, path in ipairs(self.fleet:meters()) do os.remove(path) end
  check_refused(self, sum.refused)
  check_stalls(self, sum.slow)
  self.stops = {}
end

-- Whatever the others have left behind, nothing keeps a key from going home when nobody else is there.
local function go_home(_, db)
  local report = db:rebalance()
  if report.success and report.retired then return end
  local first = report.failed[1]
  error(("lost: a rebalance of %d keys was not finished: %s"):format(report.planned, first and first.message), 0)
end

local function check(self)
  local counts = self.counts
  world.child(sweep.recover(self.fleet, { after = counts.checks % 2 == 1 and go_home }))
  local _, text = world.child(look(self.fleet))
  for n, kind in text:gmatch "kind (%d+) (%a+)\n" do add(counts.kinds, kind, tonumber(n)) end
  for what in text:gmatch "wrong ([^\n]+)\n" do table.insert(counts.wrong, what) end
  counts.acknowledged = counts.acknowledged + tonumber(text:match "acknowledged (%d+)")
  counts.rows, counts.checks = tonumber(text:match "rows (%d+)"), counts.checks + 1
end

-- --- a load -----------------------------------------------------------------------------------------------------

local function is_over(self) return lfs.attributes(self.fleet:path "stop", "mode") ~= nil end

local function work(self, seconds)
  os.remove(self.fleet:path "stop")
  for i in ipairs(PROGRAMS) do self:start(i) end
  local from = forks.now()
  while forks.now() < from + seconds and not is_over(self) do
    forks.pause(math.random() * 0.8)
    faults[DICE[math.random(#DICE)]](self, WHOM[math.random(#WHOM)])
  end
  assert(io.open(self.fleet:path "stop", "w")):close()
  for _, program in ipairs(self.programs) do finish(program) end
  self.counts.seconds = self.counts.seconds + forks.now() - from
end

local function give_up(self)
  for _, program in ipairs(self.programs) do
    if not program.ended then
      forks.kill(program.pid, "CONT")
      pcall(finish, program, true)
    end
  end
end

---@class spec.load.Counts
---@field done table<string, integer> operations by name, with the classes of a histogram of writes (meter.lua)
---@field faults table<string, integer>
---@field kinds table<string, integer> what is wrong, by kind
---@field wrong string[]
---@field acknowledged integer
---@field seconds number without the checks
---@field longest number seconds that a write took while nothing was stopped, of those that took a second

---@param fleet table of fleet.lua
---@param seconds number of work, without the checks
---@param every number seconds between two checks
---@return spec.load.Counts
function load.run(fleet, seconds, every, seed)
  local counts = { done = {}, faults = {}, kinds = {}, wrong = {}, acknowledged = 0, seconds = 0, rows = 0, checks = 0,
    longest = 0 }
  local self = setmetatable({ fleet = fleet, seed = seed, counts = counts, number = 0, programs = {}, stops = {},
    begun = forks.now() }, Load)
  math.randomseed(seed)
  while counts.seconds < seconds and #counts.wrong == 0 do
    local done, err = pcall(function()
      work(self, math.min(every, seconds - counts.seconds))
      check(self)
    end)
    if not done then
      give_up(self)
      add(counts.kinds, "broken")
      table.insert(counts.wrong, tostring(err))
    end
    read_meters(self)
  end
  return counts
end

return load
