--- Looks whether a set-up is in order, and says how to mend what is not. Each part of it is looked at by itself, so
-- that one that is broken does not hide the others: doctor_config.lua, doctor_files.lua, doctor_services.lua,
-- doctor_directory.lua, doctor_shards.lua.

local core = require "collegedb.core"
local directory = require "collegedb.doctor_directory"
local doctor_config = require "collegedb.doctor_config"
local errors = require "collegedb.errors"
local files = require "collegedb.doctor_files"
local leftovers = require "collegedb.verify_leftovers"
local look = require "collegedb.look"
local recovery = require "collegedb.recovery"
local reports = require "collegedb.verify_report"
local seen_moves = require "collegedb.seen_moves"
local problems = require "collegedb.seen_problems"
local services = require "collegedb.doctor_services"
local shards = require "collegedb.doctor_shards"
local verify = require "collegedb.workflows.verify"

local doctor = {}

---@class collegedb.Diagnosis
---@field topic "settings"|"files"|"permissions"|"services"|"directory"|"moves"|"integration"|"shards"|"indexes"
---|"scripts"|"versions"|"opening"
---@field about string "config", "directory", "program", "scripts", "files", "publish", "coordinator", or a shard's name
---@field state "ok"|"note"|"fault"
---@field what string
---@field mend string? what to do

---@class collegedb.Diagnoses
---@field success boolean no faults
---@field diagnoses collegedb.Diagnosis[]
---@field repairs string[] what was repaired

local LISTED <const> = 10 -- of one state, topic and part

-- Of a long list the first ones, and how many more there are.
local function adder(list)
  local counts, more = {}, {}
  return function(topic)
    return function(about, state, what, mend)
      local kind = ("%s\0%s\0%s"):format(topic, about, state)
      counts[kind] = (counts[kind] or 0) + 1
      local beyond, last = counts[kind] - LISTED, more[kind]
      if last then
        last.what = ("and %d more"):format(beyond)
        return
      end
      local one = { topic = topic, about = about, state = state, what = what, mend = mend }
      if beyond == 1 then more[kind], one.what, one.mend = one, "and 1 more", nil end
      list[#list + 1] = one
    end
  end
end

-- --- opening -----------------------------------------------------------------------------

local function open(given, add)
  local db, err = look.open_database(given)
  if db then return db end
  add(err.shard or "config", "fault", ("the database does not open: %s"):format(err.message),
    "mend what the faults before this one say, or what it names")
end

-- What keeps moves from their end also when it is tried: by number.
local function find_obstacles(state)
  local found = {}
  for _, each in ipairs(state.directory.keeps_journal and select(2, recovery.run(state)) or {}) do
    if each.how == "stuck" then found[each.number] = each.why end
  end
  return found
end

local function repair(db)
  local run = { state = core.state(db), report = reports.new(), repair = true }
  verify.repair(run)
  for index in ipairs(run.state.shards) do leftovers.check(run, index) end
  return { repairs = run.report.repairs, obstacles = find_obstacles(run.state) }
end

-- Runs `f` on a look at the set-up.
local function with_look(settings, f, ...)
  local seen = look.open(settings)
  local done, answer, more = pcall(f, seen, ...)
  seen:close()
  if not done then error(answer, 0) end
  return answer, more
end

-- The moves that have lost their program, by number.
local function dead_moves(seen)
  local dead = {}
  for _, move in ipairs(look.tried(seen_moves.read, seen) or {}) do
    if not move.live then dead[move.number] = move end
  end
  return dead
end

-- An opening ends moves as well, before the repair does.
local function note_ended(repairs, before, after)
  local said = table.concat(repairs, "\n")
  for number, move in pairs(before) do
    if not after[number] and not said:find(("move %d from"):format(number), 1, true) then
      repairs[#repairs + 1] = ("move %d from %s to %s was brought to its end"):format(number, move.from, move.to)
    end
  end
end

-- Why a repair, which opens the database, would do what nobody asked for. An open takes the config into use.
---@return string? why, string? mend
local function why_not(seen)
  for _, problem in ipairs(problems.read(seen)) do
    if problem.topic ~= "shards" then return problem.message, "mend that first, then collegedb doctor --repair" end
  end
  if look.differs(seen) then
    return "the config has other shards, weights or another strategy than keys are placed by, and a repair does not "
      .. "take these into use", "open the database by a program, if they are meant; or put the config back; then repair"
  end
end

-- What was repaired, nothing where the database does not open; and what is in the way of moves.
---@return string[] repairs
---@return table<integer, string>? obstacles
local function repair_all(given, settings, add)
  local before = with_look(settings, dead_moves)
  local why, mend = with_look(settings, why_not)
  if why then
    add("config", "fault", "nothing was repaired: " .. why, mend)
    return {}
  end
  local db = open(given, add)
  if not db then return {} end
  local done, answer = pcall(repair, db)
  db:close()
  if not done and not errors.is_error(answer) then error(answer, 0) end
  local repairs = done and answer.repairs or {}
  note_ended(repairs, before, with_look(settings, dead_moves))
  if done then return repairs, answer.obstacles end
  add(answer.shard or "config", "fault", ("the repair was not ended: %s"):format(answer.message),
    "mend that, and repair again")
  return repairs
end

-- Does it open as any program would open it?
local function try_opening(given, add, told)
  for _, each in ipairs(told) do
    if each.state == "fault" and each.topic == "permissions" and each.about ~= "config" then return end
  end
  local db = open(given, add)
  if db then db:close() end
end

-- --- looking ------------------------------------------------------------------------------

-- Of which parts is it said already that something is wrong?
local function told_of(list)
  local told = {}
  for _, each in ipairs(list) do told[each.about] = told[each.about] or each.state == "fault" end
  return told
end

-- What keeps the directory from being read.
local function add_problems(add, list, seen)
  local told = told_of(list).directory
  for _, problem in ipairs(seen.problems) do
    local err = problem.about == "directory" and problem.error
    if err and err.field == "kv" then
      add("directory", "fault", err.message, "use the version of CollegeDB that wrote it, or a newer one")
    elseif err and (err.field == "mapping_secret" or err.field == "keyspaces") then
      add("directory", "fault", err.message, ("set %s to what it was then"):format(err.field))
    elseif err and not told then
      add("directory", "fault", err.message, (err.code == "CORRUPT" or err.message:find "^there is no file")
        and "put it back from a backup: see docs/backup.md" or files.mend_of(err))
    end
  end
end

-- Shards that are not reached, and of which nothing else has said so: such as those that the directory alone knows.
local function add_unreached(add, list, seen)
  local told = told_of(list)
  for _, each in ipairs(seen.shards) do
    if each.error and not told[each.shard.name] then
      add(each.shard.name, "fault", each.error.message, "see that it is where the config, or the directory, says")
    end
  end
end

-- What is told of files is told already, file by file.
---@return string[] messages of scripts
local function add_seen(add, seen)
  local told = {}
  for _, each in ipairs(problems.read(seen)) do
    if each.topic ~= "files" then add(each.topic)(each.about, "fault", each.message, each.mend) end
    if each.topic == "scripts" then told[#told + 1] = each.message end
  end
  return told
end

-- Whether an opening by the way would do no harm, and take no time: all is there and answers, and nothing waits for it.
---@param run { add: function, settings: table, list: table, obstacles: table<integer, string>? }
local function examine(seen, run)
  local add, settings = run.add, run.settings
  local waits = not (seen.state.epoch or seen.is_new)
  services.check(add "services", settings, seen)
  if seen.state.epoch then
    waits = directory.check(add, settings, seen, run.obstacles) or waits
  else
    add_problems(add "directory", run.list, seen)
  end
  waits = shards.check(add, seen, waits) or waits
  local told = add_seen(add, seen)
  doctor_config.check_scripts(add "scripts", settings, told)
  waits = waits or #told > 0
  add_unreached(add "shards", run.list, seen)
  for _, each in ipairs(seen.shards) do waits = waits or (each.error ~= nil and each.shard.value.remote ~= nil) end
  return not waits
end

local function check_secret(add, options)
  if options.config_path then
    files.check_config(add, options.config_path, options.config_text or "")
  end
end

--- Examines the database of a config.
---@param given table a config
---@param mend boolean? repairs what has one right answer, first; without it nothing is changed, and no file made
---@param options { config_path: string?, config_text: string? }? the config's file
---@return collegedb.Diagnoses
function doctor.run(given, mend, options)
  local report = { success = true, diagnoses = {}, repairs = {} }
  local add = adder(report.diagnoses)
  local settings, usable = doctor_config.read(add "settings", given)
  if settings then
    local obstacles
    local faulty = #report.diagnoses > 0
    if mend and faulty then add "opening" ("config", "fault", "nothing was repaired, as the config has faults",
      "correct it first, then collegedb doctor --repair") end
    if mend and not faulty then report.repairs, obstacles = repair_all(usable, settings, add "opening") end
    local all = files.check(add, settings)
    check_secret(add "permissions", options or {})
    doctor_config.check_settings(add "settings", settings)
    local fine = with_look(settings, examine, { add = add, settings = settings, list = report.diagnoses,
      obstacles = obstacles })
    if fine and all and not mend and not faulty then try_opening(usable, add "opening", report.diagnoses) end
    doctor_config.check_versions(add "versions", settings)
  end
  for _, each in ipairs(report.diagnoses) do report.success = report.success and each.state ~= "fault" end
  return report
end

--- What is told when the config's own file fails.
---@param err any
---@return collegedb.Diagnoses
function doctor.unreadable(err)
  local report = { success = false, diagnoses = {}, repairs = {} }
  doctor_config.unreadable(adder(report.diagnoses) "settings", err)
  return report
end

return doctor
