-- Programs that write and one that moves keys among them, all killed, stopped and recovered from at random times. Every
-- now and then all of them end, what is left is recovered, and the files are checked.

local checker = require "spec.campaign.checker"
local collegedb = require "collegedb"
local forks = require "forks"
local lfs = require "lfs"
local sweep = require "spec.campaign.sweep"
local world = require "spec.campaign.world"
local writer = require "spec.campaign.writer"

local storm = {}

local WRITERS <const> = 2
local ROUNDS <const> = 40 -- between two checks
local CHECKS <const> = 5  -- before everything begins with new files
local KILLED <const> = 128 + 9

local WAITS <const> = { MOVING = true, MOVED = true, BUSY = true }
local MEETS <const> = { CONFLICT = true, MOVED = true, BUSY = true, OUTCOME_UNKNOWN = true }

local Storm = {}
Storm.__index = Storm

-- --- those that take part -----------------------------------------------------------------

local function settings(seed)
  return { move_deadline = 0.05, mapping_cache_ttl = seed % 2 == 0 and 100 or 0.05 }
end

-- While everybody comes and goes the files can be held for longer than one waits.
local function open(w, seed)
  while true do
    local done, db = pcall(w.open, w, settings(seed))
    if done then return db end
    if not collegedb.is_error(db, "BUSY") then error(db, 0) end
  end
end

local function is_over(w) return lfs.attributes(w:path "stop", "mode") ~= nil end

local function be_writer(w, name, seed)
  return function()
    math.randomseed(seed)
    local db = open(w, seed)
    local me = writer.new(db, w:path("log-" .. name), name, WAITS)
    while not is_over(w) do me:act(w.keys[math.random(#w.keys)]) end
    db:close()
    return 0
  end
end

local function be_mover(w, scenario, seed)
  return function()
    math.randomseed(seed)
    local db = open(w, seed)
    while not is_over(w) do
      local done, err = pcall(scenario.step, w, db)
      if not done and not MEETS[collegedb.is_error(err) and err.code] then error(err, 0) end
    end
    db:close()
    return 0
  end
end

-- --- starting and ending them ---------------------------------------------------------------

function Storm:start(make)
  self.number = self.number + 1
  local pid, from = forks.start(make(self.number))
  return { pid = pid, from = from }
end

function Storm:start_writer(i)
  self.writers[i] = self:start(function(number)
    return be_writer(self.world, "w" .. number, self.seed * 1000 + number)
  end)
end

function Storm:start_mover()
  self.mover = self:start(function(number) return be_mover(self.world, self.scenario, self.seed * 1000 + number) end)
end

-- What ended by itself before its time has failed.
local function finish(child, killed)
  if killed then forks.kill(child.pid, "KILL") end
  local text = child.from:read "a"
  child.from:close()
  local status = forks.wait(child.pid)
  if status ~= 0 and not (killed and status == KILLED) then error(("ended with %d: %s"):format(status, text), 0) end
end

-- --- what happens to them -------------------------------------------------------------------

local acts = {}

function acts.kill_mover(self)
  finish(self.mover, true)
  self.counts.kills = self.counts.kills + 1
  if math.random(2) == 1 then acts.recover(self) end
  self:start_mover()
end

function acts.kill_writer(self)
  local i = math.random(WRITERS)
  finish(self.writers[i], true)
  self.counts.kills = self.counts.kills + 1
  self:start_writer(i)
end

-- A mover that sleeps past its lease, and wakes up when it has been recovered from.
function acts.stop_mover(self)
  forks.kill(self.mover.pid, "STOP")
  acts.recover(self)
  forks.kill(self.mover.pid, "CONT")
  self.counts.stops = self.counts.stops + 1
end

function acts.recover(self)
  world.child(sweep.recover_now(self.world))
  self.counts.recoveries = self.counts.recoveries + 1
end

local DICE <const> = { "kill_mover", "kill_mover", "kill_mover", "stop_mover", "stop_mover", "recover", "kill_writer" }

-- --- a storm ----------------------------------------------------------------------------------

local function check(self)
  world.child(sweep.recover(self.world, self.scenario))
  local report = checker.check(self.world:files(), self.world:database "directory", self.world:ledgers())
  self.acknowledged = report.acknowledged
  if #report.wrong > 0 then error(checker.failure(report), 0) end
end

local function rounds(self, count)
  os.remove(self.world:path "stop")
  self.writers = {}
  for i = 1, WRITERS do self:start_writer(i) end
  self:start_mover()
  for _ = 1, count do
    forks.pause(math.random() * 0.03)
    acts[DICE[math.random(#DICE)]](self)
    self.counts.rounds = self.counts.rounds + 1
  end
  assert(io.open(self.world:path "stop", "w")):close()
  for i = 1, WRITERS do finish(self.writers[i]) end
  finish(self.mover)
end

local function give_up(self)
  for _, child in ipairs { self.mover, table.unpack(self.writers) } do
    forks.kill(child.pid, "CONT")
    pcall(finish, child, true)
  end
end

---@param w table the scenario's world
---@param scenario { name: string, step: fun(w: table, db: userdata) }
---@param total integer kills, stops and recoveries
---@return table counts { rounds, kills, stops, recoveries, acknowledged, failed, kinds }
function storm.run(w, scenario, total, seed, tell)
  local counts = { rounds = 0, kills = 0, stops = 0, recoveries = 0, acknowledged = 0, failed = {},
    kinds = {} }
  local self = setmetatable({ world = w, scenario = scenario, seed = seed, counts = counts, number = 0 }, Storm)
  math.randomseed(seed)
  w.busy_timeout = 0.2
  while counts.rounds < total do
    w:reset()
    self.acknowledged = 0
    local done, err = pcall(function()
      for _ = 1, CHECKS do
        if counts.rounds >= total then break end
        rounds(self, math.min(ROUNDS, total - counts.rounds))
        check(self)
      end
    end)
    counts.acknowledged = counts.acknowledged + self.acknowledged
    if not done then
      give_up(self)
      checker.count_failure(counts, ("%s, round %d of seed %d"):format(scenario.name, counts.rounds, seed), err)
      if tell then tell(counts.failed[#counts.failed]) end
      if #counts.failed >= 10 then break end
    end
  end
  return counts
end

return storm
