-- Runs a list of operations against CollegeDB, in several processes, and against the model, and compares.
--
-- One process at a time does something, so that the same list gives the same interleaving. An operation that makes no
-- sense where it stands is left out: any part of a list is a list.

local acts = require "spec.property.operations"
local forks = require "forks"
local lfs = require "lfs"
local model = require "spec.property.model"
local process = require "spec.support.process"
local wire = require "spec.property.wire"
local worker = require "spec.property.worker"
local world = require "spec.property.world"

local driver = {}

local fail = world.fail

-- The tables, and rows that were there before.
local function prepare(self)
  local setup = self.setup
  local it = worker.start(self.folder, setup, 0)
  wire.send(it.to, { "prepare" })
  local answer = wire.receive(it.from)
  it.to:close()
  it.from:close()
  forks.wait(it.pid)
  if not (answer and answer.ok) then fail("preparing: %s", wire.source(answer)) end
  for _, st in ipairs(setup.old or {}) do self.model:apply(st) end
end

-- What was done, for the counts.
local function note(self, op)
  self.done = self.done + 1
  local name = op.step and "die" or op[1]
  self.count[name] = (self.count[name] or 0) + 1
  if op.fault then self.count.faults = (self.count.faults or 0) + 1 end
end

local function run_all(self, case)
  prepare(self)
  for i, op in ipairs(case.ops) do
    self.at = i
    if self.trace then self.trace(i, op) end
    local done = acts[op[1]](self, wire.copy(op))
    if done ~= false then note(self, op) end
  end
  self.at = #case.ops + 1
  acts.check(self, { "check", p = 1 })
  for p = 1, self.setup.processes do
    if self.workers[p] then
      self:expect(p, { "close" })
      local status, rest = self:buried(p)
      if status ~= 0 then fail("process %d ended with %d: %s", p, status, rest) end
    end
  end
end

local function new_folder()
  local parent = os.getenv "TMPDIR" or (lfs.attributes("/dev/shm", "mode") == "directory" and "/dev/shm") or "/tmp"
  local pipe <close> = assert(io.popen(("mktemp -d '%s/tmp.property.XXXXXX'"):format(parent)))
  return assert(pipe:read "l")
end

---Runs a case.
---@param case { setup: table, ops: table[] }
---@param options { plant: function?, trace: function? }? plant: is called in each process before all else
---@return string? failure, integer at the operation, integer done operations
function driver.run(case, options)
  options = options or {}
  local self = setmetatable({ setup = case.setup, workers = {}, folder = new_folder(), stale = {}, made = {},
    model = model.new(case.setup), schemas = {}, shards = {}, first = {}, outside = {}, loops = {}, done = 0, at = 0,
    plant = options.plant, trace = options.trace,
    count = options.count or {} }, world.class)
  for _, name in ipairs(case.setup.shards) do self.shards[name], self.first[name] = "open", true end
  local done, err = pcall(run_all, self, case)
  for p, it in pairs(self.workers) do
    forks.kill(it.pid, "KILL")
    self:buried(p)
  end
  process.remove(self.folder)
  if not done and not (type(err) == "table" and err.failure) then error(err, 0) end
  return err and err.failure, self.at, self.done
end

return driver
