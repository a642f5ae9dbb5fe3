--- Integration in the background: planned here, by the rules, on the caller's thread; executed in C on a thread of its
-- own (src/directory/background.c); and reported by the next call, which is when the rules judge the conflicts.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local integration = require "collegedb.integration"
local journal = require "collegedb.journal"
local quote = require "collegedb.quote"
local reports = require "collegedb.integration_report"
local workflow = require "collegedb.workflow"

local background = {}

-- Small enough for others to write in between, and for closing to wait for.
local PAGE, BATCH = 1 << 15, 1 << 11
local SCANNED_PAGE = 1 << 19 -- of a column without an index each page reads the whole table

local function is_file(path) return path and path ~= ":memory:" and path ~= "memory:" end

--- Why integration can not run in the background here; nil where it can.
---@return string?
function background.obstacle(state)
  if state.directory.foreground then return state.directory.foreground end
  for _, shard in ipairs(state.shards) do
    if not shard.value or shard.value.handle or not is_file(shard.value.path) then
      return ("shard %s is no file that a second connection could open"):format(shard.name)
    end
  end
  local _, own = workflow.load(state.config, "integrate")
  if own then return "the workflow integrate is one of your own, which runs on the caller's thread" end
end

-- --- plans ---------------------------------------------------------------------------

local function prepare(state, index)
  local script = workflow.load(state.config, "integrate")
  local run = integration.prepare(state, index, { page = PAGE, batch = BATCH }, script.steps)
  run.handle_of = function(other) return other end
  run.job = journal.claim(state.directory, "integrate", run.shard.id)
  return run, script
end

-- The journal's job: the one that is there, if it is of this plan, else a new one.
local function enter(run, script)
  local signature = integration.signature(run)
  local noted = run.job:read()
  if noted and noted.signature == signature and noted.step ~= "plan" then return end
  local noted_state = { shard = run.shard.name }
  script.plan(noted_state, integration.context(run))
  run.job:begin(signature, "take", noted_state)
end

local function plan_columns(run)
  local columns, dir = {}, run.instance.directory
  local kept = run.policy and 0 or reports.kept(run)
  for i, found in ipairs(run.columns) do
    local plan = integration.plan(run, i)
    plan.secret, plan.keep = dir.secret, plan.keep - kept
    if reports.unindexed(run.shard, found) then plan.page = SCANNED_PAGE end
    plan.count = "SELECT count(*) FROM " .. quote.name(found.name)
    columns[i] = plan
  end
  return columns
end

local function plan_part(state, index, jobs)
  local run, script = prepare(state, index)
  jobs[run.shard.name] = run.job
  local epoch, shard = state.epoch, run.shard
  local part = {
    shard_id = shard.id, placement = epoch.placement, generation = epoch.generations[index], integrated = true,
    claim = journal.number("integrate", shard.id), elsewhere = run.job == nil,
  }
  if run.job then
    enter(run, script)
    part.job, part.columns = run.job.id, plan_columns(run)
  end
  return part
end

-- --- starting -----------------------------------------------------------------------------

local function is_wanted(state, index)
  local job, name = state.background, state.shards[index].name
  return job.queue[name] and not job.left[name] and not state.epoch.integrated[index]
end

-- Plans what is still to be integrated: the thread's parts, and the name of each one's shard. `jobs`
-- gets the journal's, by name.
local function plan_all(state, jobs)
  local parts, names = {}, {}
  for index, shard in ipairs(state.shards) do
    if is_wanted(state, index) then
      parts[#parts + 1] = plan_part(state, index, jobs)
      names[#parts] = shard.name
    end
  end
  return parts, names
end

local function launch(state, jobs)
  local job = state.background
  local parts, names = plan_all(state, jobs)
  if #parts > 0 then
    core.background(state.weak.db, {
      directory = job.directory, lock = state.directory.lock, paths = job.paths, parts = parts,
    })
  end
  job.names, job.settled, job.due, job.catalog = names, {}, false, state.catalog
  for name, noted in pairs(jobs) do job.jobs[name] = noted end
end

-- The thread before, if there was one, has ended. When this fails, all is as it was, and may be tried again.
local function start(state)
  local jobs = {}
  local done, err = pcall(launch, state, jobs)
  if done then return end
  for _, noted in pairs(jobs) do noted:release() end
  error(err, 0)
end

--- Starts integration in the background.
---@param state table of lua/collegedb/state.lua
---@param queue table<string, boolean> names of the shards that await it
function background.start(state, queue)
  -- By name: `left` is not to be started again, `jobs` the journal's, `ended` what became of it. Of the thread's
  -- parts: `names`, and `settled`, those that are looked at no more; `catalog`, by which they were planned. `due`: some
  -- are to be planned again.
  local job = { queue = queue, left = {}, jobs = {}, ended = {}, names = {}, settled = {}, paths = {}, due = false }
  -- Told now: the program may go to another folder later.
  job.directory = core.real_path(state.directory.path)
  for index, shard in ipairs(state.shards) do job.paths[index] = core.real_path(shard.value.path) end
  state.background = job
  start(state)
end

-- --- what became of it ------------------------------------------------------------------------

--- Makes the report of a shard that was integrated by a thread, this one's or another process's that ended before it
-- could; the rules judge its conflicts now. Nil when there is none, or it is void.
---@return table? report
function background.report(state, name)
  local script, own = workflow.load(state.config, "integrate")
  local run = integration.prepare(state, state.by_name[name], {}, script.steps)
  local own_job = state.background and state.background.jobs[name]
  run.job = own_job or journal.claim(state.directory, "integrate", run.shard.id)
  if not run.job then return nil end
  local noted = run.job:read()
  local job = run.job
  local done, answer = true, nil
  if noted and noted.step == "finish" and noted.signature == integration.signature(run) then
    done, answer = pcall(integration.finish, run, script, own)
  end
  if not own_job then job:release() end
  if not done then error(answer, 0) end
  if answer then
    state.reports[name] = answer
    state:emit("integrated", ("%s: %d keys, %d conflicts"):format(name, answer.total_records, answer.conflict_count),
      { shard = name })
  end
  return answer
end

-- Control-C is for the program, whatever the call was doing just then.
local function pass_interrupt(err)
  if errors.is_interrupt(err) then error(err, 0) end
end

local function fail(state, name, part, err)
  pass_interrupt(err)
  part.state, part.error = "failed", err
  state.background.left[name] = true
  state:emit("integration_failed", ("%s: %s"):format(name, errors.is_error(err) and err.message or tostring(err)),
      { shard = name, error = err })
end

-- The plan names tables that are not there any more, or others.
local function is_outdated(state, part)
  if part.error.code ~= "SQL" then return false end
  return state.background.catalog ~= state.catalog or catalog.is_stale(state.catalog, state.shards)
end

-- True when the part needs no more looking at.
local function settle(state, name, part)
  local job = state.background
  if part.state == "done" then
    local done, err = pcall(background.report, state, name)
    if not done and errors.is_error(err, "BUSY") then return false end -- a transaction of the caller is in the way
    if not done and not errors.is_error(err, "MOVED") then fail(state, name, part, err) end
  elseif part.state == "failed" and is_outdated(state, part) then
    part.state, part.error = "again", nil
  elseif part.state == "failed" then
    fail(state, name, part, errors.new(part.error.code, part.error.message, { shard = name }))
  end
  if job.jobs[name] then job.jobs[name]:release() end
  job.jobs[name], job.ended[name] = nil, part
  return true
end

-- In a call that asked for something else: what fails here is told by db:integration.
local function restart(state)
  local done, err = pcall(start, state)
  if done then return end
  if errors.is_error(err, "BUSY") then error(err, 0) end
  for index, shard in ipairs(state.shards) do
    if is_wanted(state, index) then
      local part = { state = "failed", done = 0, total = 0, first = 0, conflicts = 0, ms = 0 }
      fail(state, shard.name, part, err)
      state.background.ended[shard.name] = part
    end
  end
  state.background.due = false
end

local function is_over(part) return part.state ~= "waiting" and part.state ~= "running" end

local function attend(state)
  local job, db = state.background, state.weak.db
  state.directory:epoch() -- BUSY while the call that looks is in a transaction of its own
  local parts, runs = core.background_parts(db)
  local names, settled = job.names, job.settled -- an observer may start another thread meanwhile
  local news, pending, all_over = false, false, true
  for i, part in ipairs(parts or {}) do
    local name = names[i]
    if name and is_over(part) and not settled[i] then
      settled[i] = settle(state, name, part)
      news, job.due = true, job.due or part.state == "again"
    end
    if name and not is_over(part) then all_over = false end
    pending = pending or (name and is_over(part) and not settled[i])
  end
  if news then
    db:flush_cache()
    state:read_epoch()
  end
  if names ~= job.names then return end
  if pending or (job.due and all_over and runs) then
    core.attention(db)
  elseif job.due and all_over then
    restart(state)
  end
end

--- Looks at the news of the thread, and plans again what is void. The next call does it after there are some.
function background.attend(state)
  local job = state.background
  if not job or not state.weak.db then return end
  if job.attending then -- a call of ours: what is new may be newer than what was read
    job.missed = true
    return
  end
  job.attending, job.missed = true, false
  local done, err = pcall(attend, state)
  job.attending = false
  if job.missed and core.is_open(state.weak.db) then core.attention(state.weak.db) end
  if done then return end
  local busy = errors.is_error(err, "BUSY")
  local again = busy or not errors.is_error(err) -- interrupted
  if again and core.is_open(state.weak.db) then core.attention(state.weak.db) end
  if not busy then error(err, 0) end
end

-- --- asking and stopping ----------------------------------------------------------------------------

local function find_part(state, name)
  local job = state.background
  for i, part in ipairs(core.background_parts(state.weak.db) or {}) do
    if job.names[i] == name and not job.settled[i] then return part end
  end
  return job.ended[name]
end

--- How far the integration of a shard is: { state, done, total, rate, remaining, conflicts, report, error }; nil when
-- it was not to be integrated in the background.
function background.describe(state, name)
  local part = state.background and state.background.queue[name] and find_part(state, name)
  if not part then return nil end
  local rate = part.ms > 0 and (part.done - part.first) * 1000 / part.ms or 0
  return {
    state = part.state == "again" and "waiting" or part.state, done = part.done, total = part.total, rate = rate,
    remaining = part.state == "running" and rate > 0 and math.max(part.total - part.done, 0) / rate or nil,
    conflicts = part.conflicts, report = state.reports[name], error = part.error,
  }
end

--- Is a shard, or with nil any, still to come to its end?
function background.is_busy(state, name)
  local job = state.background
  if not job then return false end
  for i in ipairs(core.background_parts(state.weak.db) or {}) do
    local asked = job.names[i] and (name == nil or name == job.names[i])
    if asked and not job.settled[i] then return true end
  end
  for index, shard in ipairs(state.shards) do
    if job.due and (name == nil or name == shard.name) and is_wanted(state, index) then return true end
  end
  return false
end

--- Stops the thread; what it had begun can be resumed. `name` and `left` say what is not to be started again: that
-- shard, or all. background.go_on starts the others.
---@return boolean there was something to stop
function background.stop(state, name)
  local job = state.background
  if not job then return false end
  core.background_stop(state.weak.db)
  for shard in pairs(job.queue) do
    if name == nil or name == shard then job.left[shard] = true end
  end
  background.attend(state)
  return true
end

--- Starts what background.stop has stopped, but was not asked to leave.
function background.go_on(state)
  if not state.background then return end
  state.background.due = true
  local done = pcall(restart, state)
  if not done then core.attention(state.weak.db) end
end

return background
