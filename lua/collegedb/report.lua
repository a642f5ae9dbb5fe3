--- Collects what a report says of a set-up: what `collegedb status` says (lua/collegedb/status.lua), with the durations
-- in full; what verify finds; and what a rebalance would do. For these two the database is opened, when all of it is
-- there; nothing is repaired or moved. What can not be had is said in its place, and the rest is collected all the
-- same.
--
-- The result is plain data, as `collegedb report --json` prints it; lua/collegedb/report_page.lua makes a page of it.

local config = require "collegedb.config"
local core = require "collegedb.core"
local health = require "collegedb.report_health"
local look = require "collegedb.look"
local statistics = require "collegedb.statistics"
local status = require "collegedb.status"

local report = {}

---@class collegedb.ReportShard: collegedb.ShardStatus
---@field share number? of all keys, 0 to 1
---@field size_share number? of all bytes
---@field ideal number the share that its weight gives it, among the shards that answer
---@field reads integer? statements that running programs ran; nil where none tells, as the fields that follow
---@field writes integer?
---@field errors_by_code table<string, integer>?
---@field slow integer?

---@class collegedb.Report: collegedb.Status
---@field version string
---@field config string? the config's path
---@field shards collegedb.ReportShard[] `read` and `write` with their buckets
---@field health { state: "good"|"attention"|"bad", findings: collegedb.ReportFinding[] }
---@field verify table of db:verify(), with `rows` of `rows_total`; or { left_out = true }, or { error = "…" }
---@field rebalance table { keys, moves, after, balance } of a dry run, `after` each shard's keys; or { error = "…" }
---@field diagnoses table[]? of collegedb.doctor, where the database does not open

---Seconds that may be spent looking at rows, twice: once to verify, once for the dry run.
report.LIMIT = 60

-- --- what status says, and more ---------------------------------------------------------------

-- Shares are those of the keys that could be counted.
local function weight_of(shard) return (status.TAKES_NONE[shard.state] or not shard.count) and 0 or shard.weight end

local function add_shares(self)
  local weights = 0
  for _, shard in ipairs(self.shards) do weights = weights + weight_of(shard) end
  for _, shard in ipairs(self.shards) do
    shard.share = shard.count and (self.keys > 0 and shard.count / self.keys or 0)
    shard.size_share = shard.size and (self.size > 0 and shard.size / self.size or 0)
    shard.ideal = weights > 0 and weight_of(shard) / weights or 0
  end
end

local COUNTED <const> = { "reads", "writes", "errors", "errors_by_code", "slow", "read", "write" }

local function add_durations(self, folder)
  if self.statistics.programs == 0 then return end
  local names = {}
  for i, shard in ipairs(self.shards) do names[i] = shard.binding end
  for i, each in ipairs(statistics.of_folder(folder, names).shards) do
    for _, field in ipairs(self.shards[i] and COUNTED or {}) do self.shards[i][field] = each[field] end
  end
end

local function name_of(strategy)
  if type(strategy) ~= "table" then return type(strategy) == "string" and strategy or "a function of the config" end
  return strategy.write and name_of(strategy.write) or strategy.name or "a table of the config"
end

local function read(reader, settings, opts)
  local self = reader:read()
  self.at = opts.now or self.at
  self.version, self.config = core.version, opts.config
  self.directory.strategy = name_of(settings.strategy)
  add_shares(self)
  add_durations(self, settings.statistics_dir)
  return self
end

-- --- what is looked at row by row ----------------------------------------------------------------

-- Hands progress on, and stops what takes longer than the limit.
local function bounded(opts, label)
  local began, stopped = core.now(), false
  return function(done, total, what)
    if opts.on_progress then opts.on_progress(done, total, ("%s: %s"):format(label, what or "")) end
    stopped = opts.limit > 0 and core.now() - began > opts.limit * 1000
    return not stopped
  end, function() return stopped end
end

local function verify(db, opts)
  local tell, done, total = bounded(opts, "verifying"), 0, 0
  local looked, why = look.tried(db.verify, db, { on_progress = function(at, of, what)
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
    after[i] = { binding = shard.binding, count = shard.count or 0, weight = shard.weight, state = shard.state }
    by_name[shard.binding] = after[i]
  end
  for _, move in ipairs(moves) do
    local from, to = by_name[move.from], by_name[move.to]
    if from and to then from.count, to.count = math.max(from.count - move.keys, 0), to.count + move.keys end
  end
  return after
end

local function rebalance(db, opts, list)
  local tell, stopped = bounded(opts, "planning")
  local plan, why = look.tried(db.rebalance, db, { dry_run = true, on_progress = tell })
  if not plan then return { error = tostring(why) } end
  if stopped() and not plan.finished then
    local form = "to plan it took longer than %g s; collegedb rebalance --dry-run takes the time that it needs"
    return { error = form:format(opts.limit) }
  end
  local after = after_moves(list, plan.moves)
  return { keys = plan.planned, moves = plan.moves, after = after, balance = status.balance(after, "count") }
end

-- Opening makes what is not there, and waits for what does not answer: that is not for who only reports.
local function obstacle(self, seen)
  if self.directory.error then return "the directory does not answer" end
  if self.directory.new then return "the database was never opened" end
  for _, shard in ipairs(self.shards) do
    if shard.state == "unreachable" then return shard.binding .. " does not answer" end
    if shard.state == "new" then return shard.binding .. " was never opened" end
  end
  if look.tried(look.differs, seen) then
    return "the config has other shards, weights or another strategy than keys are placed by; to open the database "
      .. "would take them into use"
  end
end

-- The report's fields verify and rebalance, and diagnoses where the database does not open.
local function look_at_rows(self, seen, given, opts)
  local left_out = opts.verify == false and { left_out = true } or nil
  local function failed(why, diagnoses)
    return { rebalance = { error = why }, verify = left_out or { error = why }, diagnoses = diagnoses }
  end
  local why = obstacle(self, seen)
  if why then return failed(why) end
  local db, err = look.open_database(given)
  if not db then
    return failed("the database does not open: " .. tostring(err), require("collegedb.doctor").run(given).diagnoses)
  end
  local done, answer = pcall(function()
    return { rebalance = rebalance(db, opts, self.shards), verify = left_out or verify(db, opts) }
  end)
  db:close()
  if not done then error(answer, 0) end
  return answer
end

local function collect(reader, given, opts)
  local settings = reader.settings
  local self = read(reader, settings, opts)
  local rows = look_at_rows(self, reader.seen, given, opts)
  -- Opening may have ended a dead program's moves, or found that a file is not the one that it was.
  if not rows.rebalance.error then self = read(reader, settings, opts) end
  for field, value in pairs(rows) do self[field] = value end
  self.health = health.of(self)
  return self
end

-- --- the whole ------------------------------------------------------------------------------------

--- Collects a report.
---@param given table a config
---@param opts { config: string?, verify: boolean?, limit: number?, now: integer?, on_progress:
--- fun(done: integer?, total: integer?, label: string?)? }? verify = false leaves it out; limit: seconds for each look
--- at all rows, 0 for none
---@return collegedb.Report
function report.collect(given, opts)
  opts = setmetatable({ limit = opts and opts.limit or report.LIMIT }, { __index = opts })
  local reader = status.new(config.normalize(given))
  local done, answer = pcall(collect, reader, given, opts)
  reader:close()
  if not done then error(answer, 0) end
  return answer
end

return report
