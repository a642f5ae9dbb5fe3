--- Taking an existing database over: its keys become entries of the directory,
-- its rows stay where they are. Reads and digests in C (src/directory/takeover.c).

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local patience = require "collegedb.patience"
local quote = require "collegedb.quote"

local integrate = { name = "integrate", api = 1 }

local CONFLICTS_SHOWN = 1000
local PATIENCE = 60 -- seconds in which others may change the epoch under each attempt

-- Pages of keys in the order of their index. Without UNIQUE a key may repeat; the reader skips it.
local function pages(found)
  local column, table_name = quote.name(found.key_column), quote.name(found.name)
  local form = "SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT ?1"
  return form:format(column, table_name, column .. " IS NOT NULL", column),
    form:format(column, table_name, column .. " > ?2", column)
end

local function nulls(shard, found)
  return shard:first(("SELECT count(*) AS n FROM %s WHERE %s IS NULL"):format(quote.name(found.name),
    quote.name(found.key_column))).n
end

-- A shard as a place where a key of the table may be too; without `probe` where it has no such rows.
local function place(state, index, found)
  local tables = catalog.in_keyspace(state.catalog, index, found.keyspace)
  local shard = state.shards[index]
  for _, each in ipairs(tables) do
    if shard.inner:first(("SELECT 1 AS yes FROM %s LIMIT 1"):format(quote.name(each.name))) then
      return { id = shard.id, shard = shard.handle, probe = catalog.probe_sql(tables) }
    end
  end
  return { id = shard.id }
end

-- The nodes a key of the table may be at home on. A home that still awaits its
-- own integration is not asked: the key is found here first, and the other row
-- is that integration's conflict.
local function homes(state, index, found, tag)
  if state.config.directory == "full" then return nil end
  local candidates = epochs.candidates(state.epoch.placements[1], tag, found.keyspace ~= "")
  if not candidates then return nil end
  local list = {}
  for i, node in ipairs(candidates.nodes) do
    local asked = node.index and node.index ~= index and not state.epoch.awaits[node.index]
    local home = asked and place(state, node.index, found) or { id = node.id }
    home.name, home.weight = node.name, node.weight
    list[i] = home
  end
  return list
end

-- Shards to ask for every key, whose rows would stand before ours. Where earlier
-- placements had other homes, any integrated shard may have the key. And a dry run
-- writes nothing that the next shard's could meet: it asks the shards before
-- this one that await their integration.
local function others(state, index, found, tag, dry_run)
  local list = {}
  for other, shard in ipairs(state.shards) do
    local asked
    if state.epoch.awaits[other] then asked = dry_run and other < index else asked = #state.epoch.placements > 1 end
    local same = found.keyspace == "" or shard.keyspace == tag
    if asked and same and other ~= index then list[#list + 1] = place(state, other, found) end
  end
  return list
end

-- `written` remembers, by table, the entries that attempts before this one have written already.
local function take_table(state, index, found, opts, total, written)
  local shard = state.shards[index]
  local tag = found.keyspace ~= "" and shard.keyspace or nil
  local first_page, next_page = pages(found)
  local takeover = core.takeover {
    source = shard.handle, first_page = first_page, next_page = next_page,
    keyspace = catalog.tag(tag, found.keyspace), integer = found.kind == "integer", fold = found.fold,
    secret = state.directory.secret, directory = state.directory.shard, shard_id = shard.id,
    epoch = state.epoch.number, homes = homes(state, index, found, tag), dry_run = opts.dry_run, page = opts.page,
    others = others(state, index, found, tag, opts.dry_run),
  }
  local before = written[found.name] or 0
  local more
  repeat
    local done, err = pcall(takeover.step, takeover)
    written[found.name] = before + takeover:counts().created
    if not done then error(err, 0) end
    more = err
    if opts.on_progress then opts.on_progress(total + takeover:counts().records, nil, found.name) end
  until not more
  local counts = takeover:counts()
  counts.known = counts.known - before
  counts.created = counts.created + before
  counts.nulls = nulls(shard.inner, found)
  if found.refers then
    counts.nulls = 0 -- a row that follows nobody is no row without a key
    counts.records = shard.inner:first(("SELECT count(*) AS n FROM %s"):format(quote.name(found.name))).n
  end
  return counts, takeover:conflicts()
end

local function name_of(state, id)
  local index = state.epoch.index_of[id]
  return index and state.shards[index].name or ("number " .. id)
end

local function add_conflicts(state, report, found, counts, conflicts)
  report.conflict_count = report.conflict_count + counts.conflicts
  for _, each in ipairs(conflicts) do
    if #report.conflicts < CONFLICTS_SHOWN then
      report.conflicts[#report.conflicts + 1] = {
        key = catalog.key_value(found.keyspace, each.key), table = found.name, shard = report.shard_name,
        other_shard = name_of(state, each.other),
      }
    end
  end
end

local function add_issues(report, found, counts, shard)
  local function issue(...) report.issues[#report.issues + 1] = (...):format(select(2, ...)) end
  if counts.conflicts > 0 then
    local hint = ""
    if found.keyspace ~= "" and not shard.keyspace then
      hint = (": both number their rows themselves; give this shard a keyspace, such as keyspace = %q, and write "
        .. "db:key(%q, %s, %q)"):format(shard.name, found.name, tostring(report.conflicts[1].key), shard.name)
    elseif found.keyspace == "" then
      hint = "; the first stands, and this shard's rows of them are not reached by the bare key"
    end
    issue("%d of %d keys of table %s live on another shard too%s", counts.conflicts, counts.records, found.name, hint)
  end
  local unusable = counts.unusable + counts.nulls
  if unusable > 0 then
    issue("%d rows of table %s have no usable key (NULL, empty, over 512 bytes, or not of the column's type)", unusable,
      found.name)
  end
end

-- The key columns to read, and the tables that follow; of those asked for, or of all. And whether it is all.
local function select_tables(state, index, opts)
  local columns, followers = catalog.key_columns(state.catalog, index), catalog.followers(state.catalog, index)
  if not opts.tables then return columns, followers, true end
  local wanted = {}
  for _, name in ipairs(opts.tables) do
    local folded = quote.fold(name)
    local found = state.catalog.tables[folded]
    local unkeyed = state.catalog.unkeyed[folded]
    if found and found.shards[index] then
      wanted[found.name] = true
    elseif unkeyed then
      errors.raise("USAGE", { table = name }, "table %s can not be integrated: %s", name, unkeyed.reason)
    else
      errors.raise("TABLE_NOT_FOUND", { table = name, shard = state.shards[index].name }, "shard %s has no table %s",
        state.shards[index].name, name)
    end
  end
  local function chosen(all)
    local list = {}
    for _, each in ipairs(all) do
      if wanted[each.name] then list[#list + 1] = each end
    end
    return list
  end
  local read = chosen(columns)
  return read, chosen(followers), #read == #columns
end

local function check_options(opts)
  if type(opts) ~= "table" then
    errors.raise("USAGE", nil, "the options of integrate are a table, not a %s", type(opts))
  end
  local kinds = { tables = "table", dry_run = "boolean", on_progress = "function", page = "number" }
  for name, value in pairs(opts) do
    if not kinds[name] then
      errors.raise("USAGE", nil, "integrate has no option %s; it takes tables, dry_run and on_progress", tostring(name))
    elseif type(value) ~= kinds[name] then
      errors.raise("USAGE", nil, "the option %s takes a %s, not a %s", name, kinds[name], type(value))
    end
  end
  for i, name in ipairs(opts.tables or {}) do
    if type(name) ~= "string" then
      errors.raise("USAGE", nil, "the option tables takes names; number %d is a %s", i, type(name))
    end
  end
end

local function add_followers(state, index, report, followers)
  for _, each in ipairs(followers) do
    report.tables_processed = report.tables_processed + 1
    report.total_records = report.total_records
      + state.shards[index].inner:first(("SELECT count(*) AS n FROM %s"):format(quote.name(each.name))).n
  end
end

local function add_left_out(state, index, report)
  for _, each in pairs(state.catalog.unkeyed) do
    if each.shards[index] and not each.is_view and not each.is_reference then
      report.issues[#report.issues + 1] = ("%s was left out: %s"):format(each.name, each.reason)
    end
  end
  table.sort(report.issues)
end

-- Raises MOVED when the epoch changed meanwhile.
local function attempt(state, index, opts, written)
  local shard = state.shards[index]
  local was_integrated = state.epoch.integrated[index]
  local report = { shard_name = shard.name, tables_processed = 0, total_records = 0, mappings_created = 0, entries = 0,
    conflicts = {}, conflict_count = 0, issues = {}, dry_run = opts.dry_run or false }
  local columns, followers, complete = select_tables(state, index, opts)
  for _, found in ipairs(columns) do
    local counts, conflicts = take_table(state, index, found, opts, report.total_records, written)
    report.tables_processed = report.tables_processed + 1
    report.total_records = report.total_records + counts.records + counts.nulls
    report.entries = report.entries + counts.created
    report.mappings_created = report.mappings_created + counts.created + (was_integrated and 0 or counts.at_home)
    add_conflicts(state, report, found, counts, conflicts)
    add_issues(report, found, counts, shard)
  end
  add_followers(state, index, report, followers)
  if not opts.tables then add_left_out(state, index, report) end
  if complete and not opts.dry_run then
    if not epochs.set_integrated(state.directory, shard, state.epoch.number, report.conflict_count) then
      errors.raise("MOVED", { shard = shard.name }, "the epoch changed while %s was integrated", shard.name)
    end
    state:read_epoch()
  end
  report.success = report.conflict_count == 0 and #report.issues == 0
  return report
end

--- Integrates shard `index`.
---@param state table of lua/collegedb/instance.lua
---@param index integer
---@param opts { tables: string[]?, dry_run: boolean?, on_progress: function? }?
---@return table report success, shard_name, tables_processed, total_records, mappings_created, entries, conflicts,
--- conflict_count, issues
function integrate.run(state, index, opts)
  opts = opts or {}
  check_options(opts)
  state.shards[index].handle:first "SELECT 1" -- BUSY inside a transaction, whose rows may yet be rolled back
  state:refresh_catalog()
  local written, waiting = {}, patience.new(PATIENCE)
  repeat
    state:read_epoch()
    local done, answer = pcall(attempt, state, index, opts, written)
    if done then return answer end
    if not errors.is_error(answer, "MOVED") then error(answer, 0) end
  until not waiting:wait()
  errors.raise("BUSY", { shard = state.shards[index].name }, "the shards change faster than %s can be integrated",
    state.shards[index].name)
end

return integrate
