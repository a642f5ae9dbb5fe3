--- Runs the workflows rebalance and drain: checks what is asked for, keeps others from the same work, and makes the
-- report.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local growing = require "collegedb.growing"
local journal = require "collegedb.journal"
local loader = require "collegedb.loader"
local move_batches = require "collegedb.move_batches"
local move_plan = require "collegedb.move_plan"
local move_wait = require "collegedb.move_wait"
local workflow = require "collegedb.workflow"

local rebalancing = {}

---@class collegedb.RebalanceReport
---@field success boolean all that was planned is moved
---@field finished boolean false: it was stopped; what is left is moved by the next run
---@field dry_run boolean
---@field planned integer groups
---@field moves { from: string, to: string, keys: integer, bytes: integer }[] what was planned; bytes are estimated
---@field moved integer groups
---@field rows integer
---@field failed { key: any, from: string, to: string, code: string, message: string }[] the first 1,000
---@field failed_count integer
---@field retired boolean no earlier placement counts any more
---@field waiting boolean one is kept because a program still works in it
---@field sealed boolean? of drain: the shard is empty, and takes no rows

-- --- what is asked for ---------------------------------------------------------------------

local ATTEMPTS <const> = 20 -- at a plan, while other programs make placements

local kinds = { policy = true, dry_run = "boolean", rate = "number", on_progress = "function", resume = "boolean" }

local function check_options(opts)
  if opts ~= nil and type(opts) ~= "table" then
    errors.raise("USAGE", nil, "the options are a table, not a %s", type(opts))
  end
  for name, value in pairs(opts or {}) do
    local kind = kinds[name]
    if not kind then
      errors.raise("USAGE", nil, "there is no option %s; there are policy, dry_run, rate, on_progress and resume",
        tostring(name))
    elseif kind ~= true and type(value) ~= kind then
      errors.raise("USAGE", nil, "the option %s is a %s, not a %s", name, kind, type(value))
    end
  end
  if opts and opts.rate and not (opts.rate > 0 and opts.rate < math.huge) then
    errors.raise("USAGE", nil, "the option rate is a number of keys a second, above 0")
  end
  return opts or {}
end

-- A policy decides one by one, or looks at the shards first (`plan`).
local function as_policy(given, name)
  if type(given) == "function" then
    return { name = name, plan = function() return given end }
  end
  if type(given) == "table" and type(given.plan) == "function" then
    return { name = given.name or name, plan = given.plan }
  end
end

local function load_policy(state, given)
  if given == nil then given = state:family() == "hash" and "home" or "even" end
  if type(given) ~= "string" then
    return as_policy(given, "of the call") or errors.raise("USAGE", nil, "the option policy is the name of a policy, a "
      .. "function (key, from, info), or a table with a function plan, not a %s", type(given))
  end
  local script, looked = loader.load(state.config, "policies", given, "home")
  if script == nil then
    errors.raise("USAGE", nil, "policy %s is not known (looked for %s)", given, looked)
  end
  return as_policy(script, given) or errors.raise("SCRIPT", nil, "policy %s has no function plan", given)
end

-- --- a run -----------------------------------------------------------------------------------

---@class collegedb.Rebalancing
local Run = {}
Run.__index = Run

local runs = setmetatable({}, { __mode = "k" })

--- What base steps know behind a step's ctx.
---@return collegedb.Rebalancing
function rebalancing.inside(ctx) return runs[ctx] end

local WAITING <const> = "waiting for a move that is not over, %d s at most"

-- Keys of a move that is not over can not be moved. It is one of others, or was left by a program that is dead.
function Run:await_moves()
  if self.opts.dry_run or self.awaited then return end
  self.awaited = true
  move_wait.all(self.state, function(seconds) self:progress(0, nil, WAITING:format(seconds)) end)
end

--- Asks a policy about every key: `self.plan` is what it wants moved.
---@param work { only: integer? } the id of the only shard whose keys are looked at
---@param policy table? another one than the run's
function Run:plan_anew(work, policy)
  local state = self.state
  if self.plan then self.plan:close() end
  self:await_moves()
  local attempts = 0
  repeat
    if attempts == ATTEMPTS or (self.opts.dry_run and attempts > 0) then
      errors.raise("BUSY", nil, "other programs changed the shards while the keys were looked at: look again")
    end
    attempts = attempts + 1
    if not self.opts.dry_run then state:read_epoch() end
    state:refresh_catalog()
    self.plan = move_plan.make(state, policy or self.policy, {
      only = work.only and state.epoch.index_of[work.only],
      dry_run = self.opts.dry_run, retiring = not policy and self.policy.name ~= "home" and growing.is_retiring(state),
      on_look = function(looked, name) self:progress(looked, nil, "looking at " .. name) end,
    })
  until self.plan
  if not policy then self.report.moves = self.plan.moves end
  self.report.planned = self.report.moved + self.report.failed_count + self.plan.total
end

-- What could not even be tried.
local function add_hidden(report, hidden)
  for i, each in ipairs(hidden) do report.failed[report.failed_count + i] = each end
  report.failed_count, report.planned = report.failed_count + hidden.count, report.planned + hidden.count
end

--- Moves what self.plan says. False when it became void.
---@return boolean done
function Run:move_planned()
  local plan <close>, report = self.plan, self.report
  local before = report.moved + report.failed_count
  self.plan = nil
  local done = move_batches.run(self.state, plan, report, { rate = self.opts.rate,
    on_batch = function(moved) self:progress(before + moved, report.planned, "moving") end,
    on_wait = function(moved, seconds) self:progress(before + moved, report.planned, WAITING:format(seconds)) end })
  self.db:flush_cache()
  if done then add_hidden(report, plan.hidden) end
  return done
end

function Run:progress(done, total, label)
  local tell = self.opts.on_progress
  if not tell then return end
  if label ~= self.label then self.label, self.start, self.first = label, core.now(), done end
  local seconds = (core.now() - self.start) / 1000
  local rate = seconds > 0 and (done - self.first) / seconds or 0
  local info = { rate = rate, remaining = total and rate > 0 and (total - done) / rate or nil }
  if tell(done, total, label, info) == false then workflow.stop() end
end

local function new_run(db, state, opts)
  return setmetatable({ db = db, state = state, opts = opts, policy = load_policy(state, opts.policy), report = {
    success = false, finished = false, dry_run = opts.dry_run or false, planned = 0, moves = {}, moved = 0, rows = 0,
    failed = {}, failed_count = 0, retired = not growing.is_retiring(state), waiting = false,
  } }, Run)
end

local function context(run)
  local ctx = { db = run.db, report = run.report, options = run.opts }
  function ctx.progress(done, total, label) run:progress(done, total, label) end
  function ctx.stop() workflow.stop() end
  runs[ctx] = run
  return ctx
end

local function claim(state, opts)
  if opts.dry_run then return nil end
  local job = journal.claim(state.directory, "rebalance", 0)
  if job then return job end
  local remains = state.directory:work_taken_for(journal.number("rebalance", 0))
  errors.raise("BUSY", nil, "another program moves keys between the shards of %s already%s", state.directory.path,
    remains and (", or has died doing so: then this can be run in %d s"):format(remains) or "")
end

--- Runs one of the workflows.
---@param db userdata
---@param name "rebalance"|"drain"
---@param opts table|nil policy, dry_run, rate, on_progress, resume
---@param only integer? the id of the only shard that it is about
---@return collegedb.RebalanceReport
function rebalancing.run(db, name, opts, only)
  local state = core.state(db)
  opts = check_options(opts)
  if not state.directory.keeps_journal then
    errors.raise("UNSUPPORTED", nil, "keys can not be moved while the directory is in %s: a move needs a directory "
      .. "with transactions", state.directory.path)
  end
  state:check_outside()
  state:read_epoch()
  state:follow_scripts()
  local script, own = workflow.load(state.config, name)
  local run = new_run(db, state, opts)
  local job = claim(state, opts)
  local signature = ("%s:%s:%s"):format(name, only or "", run.policy.name)
  local done, answer, finished = pcall(workflow.run, script, own, context(run), job, {
    resume = opts.resume, signature = function() return signature end, fresh = function() return { only = only } end,
  })
  if run.plan then run.plan:close() end
  if job then job:release() end
  if opts.dry_run then state:read_epoch() end
  if not done then error(answer, 0) end
  run.report.finished, run.report.success = finished, finished and run.report.failed_count == 0
  return run.report
end

return rebalancing
