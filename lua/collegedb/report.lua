--- Collects what a report says of a database: shards, their keys and bytes, latencies and errors, the directory, what
-- verify finds, and what a rebalance would do. It reads only. What can not be had, because a shard does not answer, is
-- said in its place, and the rest is collected all the same.
--
-- The result is plain data, as `collegedb report --json` prints it; lua/collegedb/report_page.lua makes a page of it.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local health = require "collegedb.report_health"
local stats = require "collegedb.stats"

local report = {}

---@class collegedb.ReportShard
---@field name string
---@field region string?
---@field weight number
---@field state "open"|"closed"|"draining"|"drained"|"waiting"|"shared" what docs/commands.md says of each
---@field keys integer? that live there; nil where it could not be asked
---@field bytes integer?
---@field share number? of all keys, 0 to 1
---@field byte_share number?
---@field ideal number the share that its weight gives it
---@field entries integer of the directory that name it
---@field conflicts integer that its integration met
---@field reachable boolean
---@field latency number? ms
---@field error string? why it could not be asked
---@field measured table? its part of db:statistics()

---@class collegedb.Report
---@field version string
---@field made integer unix seconds
---@field config string? the config's path
---@field opened boolean false: the database did not open, and only `diagnoses` is there besides
---@field health { state: "good"|"attention"|"bad", findings: collegedb.ReportFinding[] }
---@field totals { keys: integer, bytes: integer, balance: number? }
---@field shards collegedb.ReportShard[]
---@field directory table
---@field statistics table? of db:statistics(), without its shards
---@field verify table? of db:verify(), or { left_out = true }, or { error = "…" }
---@field rebalance table? of a dry run, with `balance` as it would be and each shard's keys; or { error = "…" }
---@field diagnoses table[]? of collegedb.doctor

---Seconds that may be spent looking at rows, twice: once to verify, once for the dry run.
report.LIMIT = 60

-- The result, or nil and the error object; what is no error object, such as Ctrl-C, goes on.
local function attempt(f, ...)
  local done, answer = pcall(f, ...)
  if done then return answer end
  if not errors.is_error(answer) then error(answer, 0) end
  return nil, answer
end

-- --- shards ---------------------------------------------------------------------------------

local function state_of(state, index)
  local epoch, shard = state.epoch, state.shards[index]
  if epoch.sealed[index] then return "drained" end
  if epoch.drained[index] then return "draining" end
  if shard.external_writers then return "shared" end
  if epoch.awaits[index] then return "waiting" end
  return shard.allocate and "open" or "closed"
end

-- A shard that did not answer just now is not asked again: that could take its time.
local function ask_shard(state, index, told)
  local shard, problem, keys, bytes = state.shards[index], told.error, nil, nil
  if told.reachable then
    keys, problem = attempt(stats.keys, state, index, shard.inner)
    if keys then bytes, problem = attempt(shard.handle.size, shard.handle) end
  end
  return {
    name = shard.name, region = shard.region, weight = shard.weight, state = state_of(state, index),
    keys = keys, bytes = bytes, conflicts = state.epoch.conflicts[index] or 0,
    reachable = keys ~= nil, latency = told.latency, error = problem and tostring(problem) or nil,
  }
end

-- The shares that weights give; a shard that takes no new keys is to have none.
local function add_shares(list)
  local keys, bytes, weights = 0, 0, 0
  local function takes(shard) return (shard.state == "closed" or shard.state:find "^drain") and 0 or shard.weight end
  for _, shard in ipairs(list) do
    keys, bytes, weights = keys + (shard.keys or 0), bytes + (shard.bytes or 0), weights + takes(shard)
  end
  for _, shard in ipairs(list) do
    shard.share = shard.keys and (keys > 0 and shard.keys / keys or 0)
    shard.byte_share = shard.bytes and (bytes > 0 and shard.bytes / bytes or 0)
    shard.ideal = weights > 0 and takes(shard) / weights or 0
  end
  return keys, bytes
end

--- How much of the keys is where the weights would have it, 0 to 1.
---@param list { keys: integer?, ideal: number }[]
---@return number? # nil without keys
function report.balance(list)
  local total, off = 0, 0
  for _, shard in ipairs(list) do total = total + (shard.keys or 0) end
  if total == 0 then return nil end
  for _, shard in ipairs(list) do off = off + math.abs((shard.keys or 0) / total - shard.ideal) end
  return 1 - off / 2
end

-- --- directory --------------------------------------------------------------------------------

-- Moves whose movers live, and those that were left half way.
local function moves_of(state)
  local directory, list = state.directory, {}
  if not directory.keeps_journal then return list end
  for row in directory.journal:each [[SELECT number, source, target, lease - unixepoch() AS lease
      FROM _collegedb_moves ORDER BY number LIMIT 100]] do
    list[#list + 1] = { number = row.number, from = directory:name_of(row.source), to = directory:name_of(row.target),
      left = row.lease < 0 }
  end
  return list
end

-- Workflows that are at work, or were interrupted.
local function jobs_of(state)
  local directory, list = state.directory, {}
  if not directory.keeps_journal then return list end
  for row in directory.journal:each "SELECT workflow, subject, step FROM _collegedb_jobs ORDER BY id LIMIT 100" do
    list[#list + 1] = { workflow = row.workflow, step = row.step, shard = directory:name_of(row.subject) }
  end
  return list
end

local function directory_of(state, list)
  local directory, total = state.directory, 0
  local counts = directory:counts()
  for id, n in pairs(counts) do
    total = total + n
    local index = state.epoch.index_of[id]
    if index and list[index] then list[index].entries = n end
  end
  for _, shard in ipairs(list) do shard.entries = shard.entries or 0 end
  return {
    where = tostring(directory.path), epoch = state.epoch.number, entries = total,
    placement = state:family() == "hash" and "hash" or tostring(state.strategy.write.name or "a strategy"),
    retiring = #state.epoch.placements - 1, moves = moves_of(state), jobs = jobs_of(state),
  }
end

-- --- what is looked at row by row ----------------------------------------------------------------

-- Hands progress on, and stops what takes longer than the limit.
local function bounded(progress, limit, label)
  local began, stopped = core.now(), false
  return function(done, total, what)
    if progress then progress(done, total, ("%s: %s"):format(label, what or "")) end
    stopped = limit > 0 and core.now() - began > limit * 1000
    return not stopped
  end, function() return stopped end
end

local function verify(db, opts)
  if opts.verify == false then return { left_out = true } end
  local tell = bounded(opts.on_progress, opts.limit, "verifying")
  local done, total = 0, 0
  local looked, why = attempt(db.verify, db, { on_progress = function(at, of, what)
    done, total = at, of
    return tell(at, of, what)
  end })
  if not looked then return { error = tostring(why) } end
  looked.rows, looked.rows_total = done, total
  return looked
end

-- Each shard's keys after the moves of a plan.
local function after_moves(list, moves)
  local after, by_name = {}, {}
  for i, shard in ipairs(list) do
    after[i] = { name = shard.name, keys = shard.keys or 0, ideal = shard.ideal }
    by_name[shard.name] = after[i]
  end
  for _, move in ipairs(moves) do
    local from, to = by_name[move.from], by_name[move.to]
    if from and to then from.keys, to.keys = math.max(from.keys - move.keys, 0), to.keys + move.keys end
  end
  return after
end

local function rebalance(db, opts, list)
  local tell, stopped = bounded(opts.on_progress, opts.limit, "planning")
  local plan, why = attempt(db.rebalance, db, { dry_run = true, on_progress = tell })
  if not plan then return { error = tostring(why) } end
  if stopped() and not plan.finished then
    local form = "to plan it took longer than %g s; collegedb rebalance --dry-run takes the time that it needs"
    return { error = form:format(opts.limit) }
  end
  local after = after_moves(list, plan.moves)
  return { keys = plan.planned, moves = plan.moves, after = after, balance = report.balance(after) }
end

-- --- the whole ------------------------------------------------------------------------------------

local function new(opts)
  return { version = core.version, made = opts.now or os.time(), config = opts.config, opened = true,
    totals = { keys = 0, bytes = 0 }, shards = {} }
end

local function measured(db, opts)
  if opts.statistics == false then return nil, {} end
  local told = db:statistics { all = true }
  local shards = {}
  for _, each in ipairs(told.shards) do shards[each.name] = each end
  return { programs = told.programs, since = told.since, cache = told.cache }, shards
end

--- Collects a report.
---@param db userdata an open database
---@param opts { config: string?, verify: boolean?, statistics: boolean?, limit: number?, now: integer?, on_progress:
--- fun(done: integer?, total: integer?, label: string?)? }? verify and statistics = false leave these out; limit:
--- seconds for each look at all rows, 0 for none
---@return collegedb.Report
function report.collect(db, opts)
  opts = setmetatable({ limit = opts and opts.limit or report.LIMIT }, { __index = opts })
  local state, self = core.state(db), new(opts)
  local told = db:health()
  state:read_epoch()
  attempt(state.refresh_catalog, state) -- as it was, when a shard does not answer
  local shards
  self.statistics, shards = measured(db, opts) -- before this report's own reads
  for index, shard in ipairs(state.shards) do
    if opts.on_progress then opts.on_progress(index - 1, #state.shards, "counting keys of " .. shard.name) end
    self.shards[index] = ask_shard(state, index, told[shard.name])
    self.shards[index].measured = shards[shard.name]
  end
  self.totals.keys, self.totals.bytes = add_shares(self.shards)
  self.totals.balance = report.balance(self.shards)
  self.directory = directory_of(state, self.shards)
  self.rebalance = rebalance(db, opts, self.shards)
  self.verify = verify(db, opts)
  self.health = health.of(self)
  return self
end

--- The report of a database that does not open.
---@param diagnoses collegedb.Diagnosis[] the doctor's
---@param opts { config: string?, now: integer? }
---@return collegedb.Report
function report.unopened(diagnoses, opts)
  local self = new(opts)
  self.opened, self.diagnoses = false, diagnoses
  self.health = health.of(self)
  return self
end

return report
