--- What the workflow integrate is made of: the options of a run, the plans of its takeovers, conflicts and the rules'
-- answers to them. lua/collegedb/integration_report.lua makes the report.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local journal = require "collegedb.journal"
local json = require "collegedb.json"
local loader = require "collegedb.loader"
local move_wait = require "collegedb.move_wait"
local quote = require "collegedb.quote"
local reports = require "collegedb.integration_report"
local workflow = require "collegedb.workflow"

local integration = {}

local CONFLICTS_SHOWN = reports.CONFLICTS_SHOWN
local DRAINED_AT_ONCE = 1000

local FAR_PAGE <const> = 20000 -- keys: of a shard that is far away, a page is one answer

-- --- plans ----------------------------------------------------------------------------

-- Pages of keys in the order of their index: all, those behind ?2, those up to ?3, and between both. Where a key may
-- be of many rows, each comes once, with their number.
local function pages(found)
  local column, table_name = quote.name(found.key_column), quote.name(found.name)
  local what, grouped = column, ""
  if not found.unique then what, grouped = column .. ", count(*)", " GROUP BY " .. column end
  local function page(where)
    return "SELECT " .. what .. " FROM " .. table_name .. " WHERE " .. where .. grouped .. " ORDER BY " .. column
      .. " LIMIT ?1"
  end
  return page(column .. " IS NOT NULL"), page(column .. " > ?2"), page(column .. " <= ?3"),
    page(column .. " > ?2 AND " .. column .. " <= ?3")
end

-- A shard as a place where a key of the column may be too; without `shard` where it has no such rows.
local function place(run, index, found, when)
  local state = run.instance
  local tables = catalog.in_keyspace(state.catalog, index, found.keyspace)
  local shard = state.shards[index]
  for _, each in ipairs(tables) do
    if shard.inner:first(("SELECT 1 AS yes FROM %s LIMIT 1"):format(quote.name(each.name))) then
      return { id = shard.id, shard = run.handle_of(index), probe = catalog.probe_sql(tables),
        probe_many = catalog.probe_many_sql(tables), when = when }
    end
  end
  return { id = shard.id }
end

-- The nodes a key of the column may be at home on. A home that still awaits its own integration is not asked: the
-- key is found here first, and the other row is that integration's conflict.
local function homes(run, found, tag)
  local state = run.instance
  if state.config.directory == "full" then return nil end
  local candidates = epochs.candidates(state.epoch.placements[1] or { claims = true }, tag, found.keyspace ~= "")
  if not candidates then return nil end
  local list = {}
  for i, node in ipairs(candidates.nodes) do
    local home = node.index and node.index ~= run.index and place(run, node.index, found) or { id = node.id }
    home.name, home.weight = node.name, node.weight
    list[i] = home
  end
  return list
end

-- Shards to ask for every key, whose rows would stand before ours. Where earlier placements had other homes, any
-- integrated shard may have the key. And a dry run writes nothing that the next shard's could meet: it asks the shards
-- before this one that await their integration.
local function others(run, found, tag)
  local state, list = run.instance, {}
  for other, shard in ipairs(state.shards) do
    local integrated = #state.epoch.placements > 1
    local awaiting = run.opts.dry_run and other < run.index
    local same = found.keyspace == "" or shard.keyspace == tag
    if (integrated or awaiting) and same and other ~= run.index then
      list[#list + 1] = place(run, other, found, awaiting and (integrated and "always" or "awaiting") or nil)
    end
  end
  return list
end

--- The plan of one key column's takeover.
---@param run table
---@param i integer which of run.columns
function integration.plan(run, i)
  local found, shard, epoch = run.columns[i], run.shard, run.instance.epoch
  local tag = found.keyspace ~= "" and shard.keyspace or nil
  local first, next_one, first_part, next_part = pages(found)
  return {
    source = run.handle_of(run.index),
    first_page = first, next_page = next_one, first_part = first_part, next_part = next_part,
    keyspace = catalog.tag(tag, found.keyspace), integer = found.kind == "integer", fold = found.fold,
    shard_id = shard.id, placement = epoch.placement, generation = epoch.generations[run.index],
    homes = homes(run, found, tag), others = others(run, found, tag),
    dry_run = run.opts.dry_run, batch = run.opts.batch,
    page = run.opts.page or (core.kind(shard.inner) == "d1" and FAR_PAGE or nil),
    job = reports.job(run) or 0, item = i, keep = run.policy and math.maxinteger or CONFLICTS_SHOWN,
  }
end

--- The takeover of one key column, which goes on where the journal says that it was.
function integration.takeover(run, i)
  local plan = integration.plan(run, i)
  if reports.job(run) and not run.policy then plan.keep = CONFLICTS_SHOWN - reports.kept(run) end
  return run.instance.directory:takeover(plan)
end

-- --- progress and conflicts --------------------------------------------------------------------

--- Rows of a table.
function integration.count_rows(shard, found)
  return shard.inner:first(("SELECT count(*) AS n FROM %s"):format(quote.name(found.name))).n
end

-- Rows of a column: as they were counted, which whoever began may not have done, or more that others wrote since.
local function rows_of(state, run, k)
  local item, counts = state.items[k], state.counts[k]
  item.rows = item.rows or integration.count_rows(run.shard, run.columns[k])
  if counts and counts.records > item.rows then item.rows = counts.records end
  return item.rows
end

--- Tells how far it is; stops when that answers false.
function integration.tell(state, run, i)
  local tell = run.opts.on_progress
  if not tell then return end
  local done, total = state.counts[i].records, 0
  for k in ipairs(state.items) do
    local rows = rows_of(state, run, k)
    total = total + rows
    if k < i then done = done + rows end
  end
  if tell(done, total, state.items[i].table, run.pace(done, total)) == false then workflow.stop() end
end

-- What the rules say to one conflict: does the first stand, by their will?
local function is_resolved(run, i, key, other)
  local found = run.columns[i]
  local answer = loader.call("rules " .. (run.instance.rules.name or "?"), run.instance.config.script_limit,
    run.policy, catalog.key_value(found.keyspace, key), reports.name_of(run.instance, other), run.shard.name,
    found.name)
  if answer == "keep" then return true end
  if answer == "error" then return false end
  errors.raise("SCRIPT", { table = found.name, key = key },
    "rules %s: conflict returned %s for the key %s of table %s; it must return \"keep\" or \"error\"",
    run.instance.rules.name or "?", type(answer) == "string" and ("%q"):format(answer) or "a " .. type(answer), key,
    found.name)
end

-- In memory: what the last step met.
local function judge_step(run, i, takeover)
  local list = takeover:conflicts(run.policy and math.maxinteger or CONFLICTS_SHOWN - #run.shown)
  for _, each in ipairs(list) do
    local resolved = run.policy and is_resolved(run, i, each.key, each.other) or nil
    if resolved then run.resolved[i] = (run.resolved[i] or 0) + 1 end
    if #run.shown < CONFLICTS_SHOWN then
      run.shown[#run.shown + 1] = { item = i, key = each.key, other = each.other, resolved = resolved }
    end
  end
end

-- One transaction's worth of what the journal has queued; false when there is nothing more.
local function judge_some(run)
  local dir = run.instance.directory
  local rows = dir.journal:all([[SELECT id, item, key, other FROM _collegedb_conflicts WHERE job = ? AND verdict IS NULL
    ORDER BY id LIMIT ?]], { run.job.id, DRAINED_AT_ONCE })
  if #rows == 0 then return false end
  local shown = dir.journal:first("SELECT count(*) AS n FROM _collegedb_conflicts WHERE job = ? "
    .. "AND verdict IS NOT NULL", { run.job.id }).n
  local verdicts, judged = {}, {}
  for i, row in ipairs(rows) do
    verdicts[i] = { row.id, is_resolved(run, row.item, row.key, row.other) and "keep" or "error" }
    if shown + i > CONFLICTS_SHOWN then judged[#judged + 1] = row.id end
  end
  dir:note_verdicts(run.job.id, verdicts, judged)
  return #rows == DRAINED_AT_ONCE
end

--- Has the rules judge the conflicts that are queued in the journal.
function integration.judge_rest(run)
  if not reports.job(run) or not run.policy then return end
  repeat until not judge_some(run)
end

--- Has the rules judge the conflicts that the last step met.
function integration.judge(run, i, takeover)
  if reports.job(run) then return integration.judge_rest(run) end
  judge_step(run, i, takeover)
end

-- --- runs ------------------------------------------------------------------------------------------

-- The tables asked for, by name; nil for all.
local function wanted_tables(state, index, opts)
  if not opts.tables then return nil end
  local wanted = {}
  for _, name in ipairs(opts.tables) do
    local folded = quote.fold(name)
    local found, unkeyed = state.catalog.tables[folded], state.catalog.unkeyed[folded]
    if found and found.shards[index] then
      wanted[folded] = true
    elseif unkeyed then
      errors.raise("USAGE", { table = name }, "table %s can not be integrated: %s", name, unkeyed.reason)
    else
      errors.raise("TABLE_NOT_FOUND", { table = name, shard = state.shards[index].name }, "shard %s has no table %s",
        state.shards[index].name, name)
    end
  end
  return wanted
end

local function chosen(all, wanted)
  local list = {}
  for _, each in ipairs(all) do
    if not wanted or wanted[quote.fold(each.name)] then list[#list + 1] = each end
  end
  return list
end

-- The key columns to read, the tables that follow without holding keys, and whether that is all of the shard.
local function select_columns(state, index, opts)
  local all, wanted = catalog.key_columns(state.catalog, index), wanted_tables(state, index, opts)
  local columns = chosen(all, wanted)
  return columns, chosen(catalog.followers(state.catalog, index), wanted), #columns == #all
end

--- What the router will look for is what must be taken over: raises USAGE where the catalog has another column.
---@param columns collegedb.Table[]
---@param wanted string? primary_key_column
function integration.check_column(columns, wanted)
  if not wanted then return end
  local has = {}
  for _, each in ipairs(columns) do
    has[each.name] = has[each.name] or quote.fold(each.key_column) == quote.fold(wanted)
  end
  for _, each in ipairs(columns) do
    if not has[each.name] then
      errors.raise("USAGE", { table = each.name },
        "the database routes table %s by %s, not by %s: say it in the rules of the config", each.name, each.key_column,
        wanted)
    end
  end
end

local option_kinds = {
  tables = "table", dry_run = "boolean", on_progress = "function", page = "number", batch = "number",
  resume = "boolean", primary_key_column = "string",
}

local function check_options(opts)
  if type(opts) ~= "table" then
    errors.raise("USAGE", nil, "the options of integrate are a table, not a %s", type(opts))
  end
  for name, value in pairs(opts) do
    if not option_kinds[name] then
      errors.raise("USAGE", nil,
        "integrate has no option %s; it takes batch, dry_run, on_progress, page, primary_key_column, resume and tables",
        tostring(name))
    elseif type(value) ~= option_kinds[name] then
      errors.raise("USAGE", nil, "the option %s takes a %s, not a %s", name, option_kinds[name], type(value))
    end
  end
  for i, name in ipairs(opts.tables or {}) do
    if type(name) ~= "string" then
      errors.raise("USAGE", nil, "the option tables takes names; number %d is a %s", i, type(name))
    end
  end
end

-- Whatever changes it makes void what was decided.
local function signature(run)
  local epoch, columns = run.instance.epoch, {}
  for i, each in ipairs(run.columns) do
    columns[i] = { each.name, each.key_column, each.kind, each.keyspace, each.fold or false, each.unique or false }
  end
  return json.encode {
    placement = epoch.placement, generation = epoch.generations[run.index], columns = columns,
    full = run.instance.config.directory == "full", policy = run.policy ~= nil, steps = run.steps,
    complete = run.complete,
  }
end

-- Keys a second since it began, and the seconds that the rest would take.
local function pacer(clock)
  local start, first
  return function(done, total)
    start, first = start or clock(), first or done
    local seconds = (clock() - start) / 1000
    local rate = seconds > 0 and (done - first) / seconds or 0
    return { rate = rate, remaining = rate > 0 and math.max(total - done, 0) / rate or nil }
  end
end

local runs = setmetatable({}, { __mode = "k" })

--- What base steps know behind a step's ctx.
function integration.inside(ctx) return runs[ctx] end

-- What the steps get.
local function context(run)
  local ctx = { name = run.shard.name, rules = run.instance.rules, options = run.opts }
  local stopped = false
  function ctx.shard(name)
    local index = run.instance.by_name and run.instance.by_name[name or run.shard.name]
    if index then return run.instance.shards[index].handle end
    if name == nil or name == run.shard.name then return run.shard.handle end
    errors.raise("SHARD_NOT_FOUND", { shard = name }, "no shard is named %s", tostring(name))
  end
  function ctx.progress(done, total, label)
    local tell = run.opts.on_progress
    if tell and tell(done, total, label, {}) == false then stopped = true end
  end
  function ctx.cancelled() return stopped end
  function ctx.stop() workflow.stop() end
  function ctx.again() workflow.again() end
  runs[ctx] = run
  return ctx
end

--- A run of the workflow on shard `index`, with the catalog and the epoch of now.
function integration.prepare(state, index, opts, steps)
  local run = {
    instance = state, index = index, shard = state.shards[index], opts = opts, policy = state.rules.conflict,
    steps = steps, shown = {}, resolved = {}, pace = pacer(core.now),
    handle_of = function(other) return state.shards[other].handle end,
  }
  state:refresh_catalog()
  state:read_epoch()
  run.columns, run.followers, run.complete = select_columns(state, index, opts)
  integration.check_column(run.columns, opts.primary_key_column)
  return run
end

--- The ctx of a run's steps.
integration.context = context

--- Marks the shard as integrated; false when what was decided is void.
function integration.mark(run, conflicts)
  local state = run.instance
  local epoch = state.epoch
  local done = epochs.set_integrated(state.directory, run.shard, epoch.placement, epoch.generations[run.index],
    conflicts)
  if done then state:read_epoch() end
  return done
end

integration.report = reports.make

--- The run's signature.
integration.signature = signature

local function run_workflow(script, own, run, ctx, resume)
  local first = true
  return workflow.run(script, own, ctx, run.job, {
    resume = resume, signature = function() return signature(run) end,
    fresh = function()
      if not first then
        run.shown, run.resolved = {}, {}
        run.instance:read_epoch()
      end
      first = false
      return { shard = run.shard.name }
    end,
  })
end

--- Makes the report of a run whose keys were all taken by a thread; MOVED when that is void by now.
function integration.finish(run, script, own)
  local state = workflow.run(script, own, context(run), run.job, {
    resume = true, signature = function() return signature(run) end,
    fresh = function() errors.raise("MOVED", { shard = run.shard.name }, "the shard was rolled back meanwhile") end,
  })
  return state.report
end

--- Integrates shard `index`.
---@param state table of lua/collegedb/state.lua
---@param index integer
---@param opts { tables: string[]?, dry_run: boolean?, on_progress: function?, resume: boolean?, page: integer?,
--- batch: integer? }? page: keys read at a time, batch: keys a transaction
---@return table report success, shard_name, tables_processed, total_records, mappings_created, entries, conflicts,
--- conflict_count, issues, notes, cancelled
function integration.run(state, index, opts)
  opts = opts or {}
  check_options(opts)
  core.check_outside(state.shards[index].handle) -- BUSY inside a transaction, whose rows may yet be rolled back
  -- The rows of a committed move that is not over are on two shards, which is no conflict.
  if not opts.dry_run and state.directory.keeps_journal then move_wait.all(state) end
  local script, own = workflow.load(state.config, "integrate")
  local run = integration.prepare(state, index, opts, script.steps)
  local ctx = context(run)
  if not opts.dry_run then run.job = journal.claim(state.directory, "integrate", run.shard.id) end
  local done, answer, finished = pcall(run_workflow, script, own, run, ctx, opts.resume)
  if run.job then run.job:release() end
  if not done then error(answer, 0) end
  local published = state.directory.ask and not opts.dry_run
  if published then require("collegedb.published_keys").taken_over(state, index) end
  if finished and answer.report then return answer.report end
  if finished then run.job = nil end -- nothing of it is left
  return reports.make(answer, run, not finished)
end

return integration
