--- The report of an integration: numbers, the first conflicts, and sentences about what was found.

local catalog = require "collegedb.catalog"
local existing_keys = require "collegedb.existing_keys"
local quote = require "collegedb.quote"
local record_check = require "collegedb.record_check"

local reports = { CONFLICTS_SHOWN = 1000 }

--- The name of the shard with this id.
function reports.name_of(state, id)
  local index = state.epoch.index_of[id]
  return index and state.shards[index].name or ("number " .. id)
end

--- The number of the journal's job, or nil when nothing is noted.
function reports.job(run) return run.job and run.job.id end

--- How many conflicts the journal shows already.
function reports.kept(run)
  return run.instance.directory.journal:first("SELECT count(*) AS n FROM _collegedb_conflicts WHERE job = ?",
    { run.job.id }).n
end

local function nulls(shard, found)
  return shard.inner:first(("SELECT count(*) AS n FROM %s WHERE %s IS NULL"):format(quote.name(found.name),
    quote.name(found.key_column))).n
end

-- The counts of each item, and the conflicts to show in the order in which they were met: from the journal, or what was
-- kept in memory.
local function gather(state, run)
  if not reports.job(run) then
    local counts = state.counts or {}
    for i, each in pairs(counts) do each.resolved = run.resolved[i] or 0 end
    return counts, run.shown
  end
  local dir, counts = run.instance.directory.journal, {}
  for row in dir:each([[SELECT item, records, created, at_home, known, conflicts, unusable, resolved
    FROM _collegedb_takes WHERE job = ?]], { run.job.id }) do
    counts[row.item] = row
  end
  local shown = dir:all("SELECT item, key, other, verdict FROM _collegedb_conflicts WHERE job = ? ORDER BY id LIMIT ?",
    { run.job.id, reports.CONFLICTS_SHOWN })
  for _, row in ipairs(shown) do
    if not run.columns[row.item] then record_check.damaged(run.instance.directory, "_collegedb_conflicts") end
    row.resolved = row.verdict == "keep" or nil
  end
  return counts, shown
end

local function add_conflicts(run, report, shown)
  for i, each in ipairs(shown) do
    local found = run.columns[each.item]
    report.conflicts[i] = {
      key = catalog.key_value(found.keyspace, each.key), table = found.name, shard = report.shard_name,
      other_shard = reports.name_of(run.instance, each.other), resolved = each.resolved,
    }
  end
end

local function first_key(run, shown, i)
  for _, each in ipairs(shown) do
    if each.item == i and not each.resolved then return catalog.key_value(run.columns[i].keyspace, each.key) end
  end
  return 1
end

local function conflict_hint(run, shown, i)
  local found, shard = run.columns[i], run.shard
  if found.keyspace ~= "" and not shard.keyspace then
    return (": both number their rows themselves; give this shard a keyspace, such as keyspace = %q, and write "
      .. "db:key(%q, %s, %q)"):format(shard.name, found.name, tostring(first_key(run, shown, i)), shard.name)
  elseif found.keyspace == "" then
    return "; the first stands, and this shard's rows of them are not reached by the bare key"
  end
  return ""
end

local function add_issues(run, report, counts, i, shown)
  local found = run.columns[i]
  local function issue(form, ...) report.issues[#report.issues + 1] = form:format(...) end
  local open = counts.conflicts - counts.resolved
  if open > 0 then
    local keys = counts.created + counts.at_home + counts.known + counts.conflicts -- one may be of many rows
    issue("%d of %d keys of table %s live on another shard too%s", open, keys, found.name, conflict_hint(run, shown, i))
  end
  local unusable = counts.unusable + counts.nulls
  if unusable > 0 then
    issue("%d rows of table %s have no usable key (NULL, empty, over 512 bytes, or not of the column's type)", unusable,
      found.name)
  end
end

--- A key column by which every look reads the whole table, as one sentence; nil where there is an index.
---@param shard table
---@param found collegedb.Table
function reports.unindexed(shard, found)
  if found.unique or not existing_keys.is_scanned(shard.inner, found) then return nil end
  return ("table %s: its key column %s has no index, so every look for a key reads the whole table; make one by "
    .. "CREATE INDEX %s ON %s (%s)"):format(found.name, found.key_column,
    quote.name(found.name .. "_" .. found.key_column), quote.name(found.name), quote.name(found.key_column))
end

local function add_left_out(run, report)
  for _, each in pairs(run.instance.catalog.unkeyed) do
    if each.shards[run.index] and not each.is_view and each.on_purpose ~= "reference" then
      local list = each.on_purpose and report.notes or report.issues
      list[#list + 1] = ("%s was left out: %s"):format(each.name, each.reason)
    end
  end
  table.sort(report.issues)
  table.sort(report.notes)
end

-- Tables whose rows are where those are that they follow.
local function add_followers(run, report)
  for _, each in ipairs(run.followers) do
    report.tables_processed = report.tables_processed + 1
    report.total_records = report.total_records
      + run.shard.inner:first(("SELECT count(*) AS n FROM %s"):format(quote.name(each.name))).n
  end
end

local function new_report(run)
  return { shard_name = run.shard.name, tables_processed = 0, total_records = 0, mappings_created = 0, entries = 0,
    conflicts = {}, conflict_count = 0, issues = {}, notes = {}, dry_run = run.opts.dry_run or false }
end

local function add_column(run, report, state, counts, i, seen, shown)
  local found = run.columns[i]
  counts.nulls = nulls(run.shard, found)
  local rows = counts.records + counts.nulls
  if found.refers then counts.nulls = 0 end -- a row that follows nobody is no row without a key
  if not seen[found.name] then
    seen[found.name] = true
    report.tables_processed = report.tables_processed + 1
    report.total_records = report.total_records + rows
  end
  report.entries = report.entries + counts.created
  report.mappings_created = report.mappings_created + counts.created + (state.was_integrated and 0 or counts.at_home)
  report.conflict_count = report.conflict_count + counts.conflicts
  add_issues(run, report, counts, i, shown)
  report.notes[#report.notes + 1] = reports.unindexed(run.shard, found)
end

--- Makes the report of a run.
---@param state table the workflow's
---@param run table of lua/collegedb/integration.lua
---@param cancelled boolean? it was stopped before its end
---@return table report
function reports.make(state, run, cancelled)
  local report, seen, unresolved = new_report(run), {}, 0
  local counts, shown = gather(state, run)
  for i in ipairs(run.columns) do
    if counts[i] then
      unresolved = unresolved + counts[i].conflicts - counts[i].resolved
      add_column(run, report, state, counts[i], i, seen, shown)
    end
  end
  add_conflicts(run, report, shown)
  add_followers(run, report)
  if not run.opts.tables then add_left_out(run, report) end
  report.unresolved = unresolved
  report.success = not cancelled and unresolved == 0 and #report.issues == 0
  report.cancelled = cancelled or nil
  return report
end

return reports
