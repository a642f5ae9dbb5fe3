--- Looks whether a set-up is in order, and says how to mend what is not. It looks at the files first, each by itself,
-- so that it can also say why a database does not open.

local config = require "collegedb.config"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local existing_keys = require "collegedb.existing_keys"
local instance = require "collegedb.instance"
local inspect = require "collegedb.inspect"
local leftovers = require "collegedb.verify_leftovers"
local moves = require "collegedb.moves"
local quote = require "collegedb.quote"
local shards = require "collegedb.shards"
local reports = require "collegedb.verify_report"
local verify = require "collegedb.workflows.verify"
require "collegedb.database" -- the methods of what instance.open gives

local doctor = {}

---@class collegedb.Diagnosis
---@field about string "config", "directory", or a shard's name
---@field state "ok"|"note"|"fault"
---@field what string
---@field mend string? what to do

local function adder(list)
  return function(about, state, what, mend)
    list[#list + 1] = { about = about, state = state, what = what, mend = mend }
  end
end

-- --- files ---------------------------------------------------------------------------

local MENDS <const> = {
  BUSY = "another program holds the file: end its transaction",
  READONLY = "give this user the right to write the file and its folder",
  CORRUPT = "put the file back from a backup, and run collegedb verify",
  FULL = "make room on the disk",
}

local function mend_of(err) return MENDS[err.code] or "see that the file is there, and that this user may use it" end

-- Tries to begin a write, which is then taken back.
local function check_writable(shard) core.rollback(core.begin(shard)) end

local function look_at_file(add, about, path)
  local done, err = pcall(function()
    local shard = core.sqlite(path, { name = about, must_exist = 1, busy_timeout_ms = 2000 })
    local looked, problem = pcall(function()
      local mode = shard:first("PRAGMA journal_mode").journal_mode
      check_writable(shard)
      add(about, "ok", ("%s: %d bytes, journal mode %s, can be written"):format(path, shard:size(), mode))
      if mode ~= "wal" then
        add(about, "note", "its readers and its writer wait for one another",
          "PRAGMA journal_mode = WAL, once, while nobody else has the file open")
      end
    end)
    core.close(shard)
    if not looked then error(problem, 0) end
  end)
  if done then return end
  if not errors.is_error(err) then error(err, 0) end
  add(about, "fault", err.message, mend_of(err))
end

-- False when the file is not there.
local function check_file(add, about, path, mend)
  if not shards.is_file(path) then return true end
  if core.file_id(path) then
    look_at_file(add, about, path)
    return true
  end
  add(about, "fault", ("there is no file %s"):format(path), mend)
  return false
end

-- Are all there?
local function check_files(add, settings)
  local all = check_file(add, "directory", settings.kv, "put it back from a backup; or open the database, which makes "
    .. "one that learns from the shards where keys are: see docs/backup.md")
  for _, shard in ipairs(settings.shards) do
    local there = check_file(add, shard.name, shard.value.path, "put it back from a backup; if it is new, open the "
      .. "database, which makes an empty one")
    all = all and there
  end
  return all
end

-- --- the directory ----------------------------------------------------------------------

-- Shards where keys are at home, or were before a placement that came while they were away.
local function check_homes(add, state)
  local told = {}
  for _, placement in ipairs(state.epoch.placements) do
    for _, node in ipairs(placement.claims and {} or placement.all.nodes) do
      if not node.index and not node.sealed and not told[node.name] then
        told[node.name] = true
        add("directory", "fault", ("keys are placed on shard %s, which the config does not have"):format(node.name),
          "put the shard back into the config; empty it with collegedb drain before you take it out")
      end
    end
  end
end

local function check_directory(add, state)
  local directory = state.directory
  local entries, total = directory:counts(), 0
  for id, n in pairs(entries) do
    total = total + n
    if not state.epoch.index_of[id] then
      add("directory", "fault", ("%d entries name shard %s, which the config does not have"):format(n,
        directory:name_of(id) or id), "put the shard back into the config")
    end
  end
  add("directory", "ok", ("epoch %d, %d entries"):format(state.epoch.number, total))
  check_homes(add, state)
  if #state.epoch.placements > 1 then
    add("directory", "note", "keys are also looked for where earlier shards or weights placed them")
  end
end

local function check_moves(add, state)
  local counted, seen = moves.numbers(state)
  if counted < seen then
    add("directory", "fault", ("it counts %d moves, and the shards %d: it is older than they are"):format(counted,
      seen), "collegedb doctor --repair")
  end
  local row = state.directory.journal:first [[SELECT count(*) AS n, max(lease) - unixepoch() + 1 AS seconds
    FROM _collegedb_moves WHERE lease >= unixepoch()]]
  if row.n > 0 then
    local form = "%d moves are under way; should their programs be dead, they can be ended in %d s"
    add("directory", "note", form:format(row.n, row.seconds))
  end
end

local function check_published(add, state)
  local kv = state.directory.kv
  local done, answer = pcall(kv.get, kv, "known_shards")
  if done then return add("publish", "ok", "entries are published to " .. tostring(kv)) end
  if not errors.is_error(answer) then error(answer, 0) end
  add("publish", "fault", answer.message, "until it answers, keys without an entry can not be looked for")
end

-- --- shards ---------------------------------------------------------------------------------

-- Columns by which rows are looked for, each once: { table, column }.
local function looked_for(state, index)
  local list, seen = {}, {}
  local function add(name, column, found)
    local id = quote.fold(name) .. "\0" .. quote.fold(column)
    if not seen[id] then list[#list + 1] = found or { name = name, key_column = column, kind = "text" } end
    seen[id] = true
  end
  for _, each in pairs(state.catalog.tables) do
    local here = each.shards[index]
    if here and not here.unique then add(here.name, here.key_column, here) end
    if here and here.group then add(here.name, here.group.column, here.group.follows) end
  end
  table.sort(list, function(a, b) return a.name .. "\0" .. a.key_column < b.name .. "\0" .. b.key_column end)
  return list
end

local function check_indexes(add, state, index)
  local shard = state.shards[index]
  for _, found in ipairs(looked_for(state, index)) do
    if existing_keys.is_scanned(shard.inner, found) then
      local name, column = found.name, found.key_column
      add(shard.name, "fault", ("column %s of table %s has no index: every look reads the whole table"):format(column,
        name), ("CREATE INDEX %s ON %s (%s)"):format(quote.name(name .. "_" .. column), quote.name(name),
        quote.name(column)))
    end
  end
end

local function check_integration(add, state, index)
  local shard = state.shards[index]
  local job = state.directory.keeps_journal and state.directory.journal:first(
    "SELECT 1 AS yes FROM _collegedb_jobs WHERE workflow = 'integrate' AND subject = ?", { shard.id })
  if shard.external_writers then
    add(shard.name, "note", "others write it: it is asked for every key that has no entry")
  elseif state.epoch.awaits[index] then
    local what = "its rows are not taken over yet: it is asked for every key that has no entry"
    add(shard.name, "fault", job and "its integration was not ended" or what,
      ("collegedb integrate %s%s"):format(shard.name, job and " --resume" or ""))
  elseif (state.epoch.conflicts[index] or 0) > 0 then
    add(shard.name, "note", ("its integration met %d conflicts"):format(state.epoch.conflicts[index]),
      "collegedb verify names them")
  end
end

local function check_foreign_keys(add, shard)
  local row = shard.inner:first([[SELECT count(*) AS n FROM sqlite_schema AS s, pragma_foreign_key_list(s.name)
    WHERE s.type = 'table']] .. inspect.without_d1s(shard.inner, "s.name"))
  if row.n == 0 then return end
  local on = shard.inner:first("PRAGMA foreign_keys").foreign_keys == 1
  add(shard.name, "note", on and "foreign keys are enforced" or "foreign keys are not enforced",
    not on and ("PRAGMA foreign_keys = ON by db:shard(%q):exec, in each program"):format(shard.name) or nil)
end

local function check_leftovers(add, state, index)
  local run = { state = state, report = reports.new() }
  leftovers.check(run, index)
  for _, each in ipairs(run.report.findings) do
    local about = each.key ~= nil and tostring(each.key) .. " " or each.table and each.table .. ": " or ""
    add(state.shards[index].name, "fault", about .. each.what,
      each.advice == leftovers.REPAIR and "collegedb doctor --repair" or each.advice)
  end
end

local function check_unkeyed(add, state)
  for _, each in pairs(state.catalog.unkeyed) do
    if not each.is_view and not each.on_purpose then
      add("config", "note", ("table %s can not be routed: %s"):format(each.name, each.reason),
        "leave it, or say in the rules by which column")
    end
  end
end

local function check_shard(add, state, index)
  check_integration(add, state, index)
  check_indexes(add, state, index)
  check_foreign_keys(add, state.shards[index])
  check_leftovers(add, state, index)
end

-- --- the whole ------------------------------------------------------------------------------------

local function open(given, add)
  local settings = {}
  for field, value in pairs(given) do settings[field] = value end
  settings.auto_migrate = false
  settings.on_event = function(event)
    if event.event ~= "unindexed" then add("directory", "note", event.message) end -- looked for below
  end
  local done, db = pcall(instance.open, settings)
  if done then return db end
  if not errors.is_error(db) then error(db, 0) end
  add(db.shard or "config", "fault", ("the database does not open: %s"):format(db.message),
    "mend what the faults before this one say, or what it names")
end

local function repair(state)
  local run = { state = state, report = reports.new(), repair = true }
  verify.repair(run)
  for index in ipairs(state.shards) do leftovers.check(run, index) end
  return run.report.repairs
end

local function examine(db, add, mend)
  local state, repairs = core.state(db), {}
  if mend then repairs = repair(state) end
  state:read_epoch()
  state:refresh_catalog()
  check_directory(add, state)
  if state.directory.keeps_journal then check_moves(add, state) end
  if state.directory.ask then check_published(add, state) end
  check_unkeyed(add, state)
  for index in ipairs(state.shards) do check_shard(add, state, index) end
  return repairs
end

--- Examines the database of a config, which it opens and closes.
---@param given table a config
---@param mend boolean? repairs what has one right answer, first; without it files that are not there are not made
---@return { success: boolean, diagnoses: collegedb.Diagnosis[], repairs: string[] } # success: no faults
function doctor.run(given, mend)
  local report = { success = true, diagnoses = {}, repairs = {} }
  local add = adder(report.diagnoses)
  -- Opening makes what is not there; that is not for a doctor who was only asked.
  local all = check_files(add, config.normalize(given))
  local db = (all or mend) and open(given, add)
  if db then
    local done, answer = pcall(examine, db, add, mend)
    db:close()
    if not done then error(answer, 0) end
    report.repairs = answer
  end
  for _, each in ipairs(report.diagnoses) do report.success = report.success and each.state ~= "fault" end
  return report
end

return doctor
