--- Compares every row with where its key resolves, every entry with rows, and what moves have left with the moves that
-- are under way. Reads only, unless it is asked to repair what has one right answer; what a person must decide is
-- listed. Its parts are lua/collegedb/verify_keys.lua and lua/collegedb/verify_leftovers.lua.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local entry_pages = require "collegedb.entry_pages"
local errors = require "collegedb.errors"
local leftovers = require "collegedb.verify_leftovers"
local mend = require "collegedb.mend"
local quote = require "collegedb.quote"
local recovery = require "collegedb.recovery"
local reports = require "collegedb.verify_report"
local seen_keys = require "collegedb.seen_keys"
local verify_keys = require "collegedb.verify_keys"

local verify = { name = "verify", api = 1 }

-- --- options ------------------------------------------------------------------------------

local OPTIONS <const> = { repair = "boolean", dry_run = "boolean", on_progress = "function", rate = "number" }

local function check_options(opts)
  if type(opts) ~= "table" then
    errors.raise("USAGE", nil, "the options of verify are a table, not a %s", type(opts))
  end
  for name, value in pairs(opts) do
    local kind = OPTIONS[name]
    if not kind then
      errors.raise("USAGE", nil, "verify has no option %s; it takes dry_run, on_progress, rate and repair",
        tostring(name))
    elseif type(value) ~= kind then
      errors.raise("USAGE", nil, "the option %s takes a %s, not a %s", name, kind, type(value))
    end
  end
  if opts.rate and opts.rate <= 0 then
    errors.raise("USAGE", nil, "the option rate takes rows a second, more than 0, not %s", tostring(opts.rate))
  end
end

-- --- what is looked at ---------------------------------------------------------------------

-- The checks of one shard's tables, as { check, argument }, in order of their names.
local function checks_of(state, index)
  local list = {}
  for _, found in ipairs(catalog.key_columns(state.catalog, index)) do
    list[#list + 1] = { verify_keys.roots, found }
  end
  local tables = {}
  for _, each in pairs(state.catalog.tables) do
    if each.shards[index] and each.group then tables[#tables + 1] = each.shards[index] end
  end
  table.sort(tables, function(a, b) return a.name < b.name end)
  for _, each in ipairs(tables) do
    if each.member and not each.refers then list[#list + 1] = { verify_keys.members, each } end
    list[#list + 1] = { verify_keys.orphans, each }
  end
  return list
end

local function count_total(state)
  local total = 0
  for index, shard in ipairs(state.shards) do
    local counted = {}
    for _, check in ipairs(checks_of(state, index)) do
      local name = check[2].name
      counted[name] = counted[name]
        or shard.inner:first(("SELECT count(*) AS n FROM %s"):format(quote.name(name))).n
      total = total + counted[name]
    end
  end
  return total
end

-- Tells how far it is, slows down to `rate`, and answers false when it is to stop.
local function teller(run, opts)
  local done, start = 0, core.now()
  local total = opts.on_progress and count_total(run.state)
  return function(page, label)
    for _, row in ipairs(page) do done = done + row.rows end
    local ahead = opts.rate and done / opts.rate * 1000 - (core.now() - start) or 0
    if ahead >= 1 then core.pause(math.floor(ahead)) end
    if opts.on_progress and opts.on_progress(done, math.max(total, done), label) == false then run.cancelled = true end
    return not run.cancelled
  end
end

local function list_unchecked(state, report)
  for _, each in pairs(state.catalog.unkeyed) do
    if not each.is_view and not each.on_purpose then
      report.unchecked[#report.unchecked + 1] = ("%s: %s"):format(each.name, each.reason)
    end
  end
  table.sort(report.unchecked)
end

-- --- entries --------------------------------------------------------------------------------

-- How many entries there are, and how many of them have no rows; a table KV is not asked for the latter.
local function count_entries(run)
  local directory, report, last = run.state.directory, run.report, ""
  report.entries = 0
  for _, n in pairs(directory:counts()) do report.entries = report.entries + n end
  if not directory.journal then return end
  report.entries_without_rows = 0
  repeat
    local page = directory.rows and directory.rows:page(last) or entry_pages.read(directory.journal, last)
    for _, digest in ipairs(page) do
      if not run.seen:shard_of(digest) then report.entries_without_rows = report.entries_without_rows + 1 end
    end
    last = page[#page]
  until not last
end

-- --- shards that are not there ------------------------------------------------------------------

-- Keys that are, or would be, on a shard which the config does not have: whoever asks for them gets SHARD_NOT_FOUND.
local function check_absent(run)
  local state, homes = run.state, {}
  local function add(id, what, n)
    local name = state.directory:name_of(id) or ("number " .. id)
    reports.add(run.report, { kind = "lost", what = what, shard = "the directory", other_shard = name, rows = n,
      advice = ("name shard %s in the config, with its file"):format(name) }, true, n)
  end
  for id, n in pairs(state.directory:counts()) do
    if not state.epoch.index_of[id] then add(id, "have an entry for a shard that the config does not have", n) end
  end
  for _, placement in ipairs(state.epoch.placements) do
    for _, node in ipairs(placement.claims and {} or placement.all.nodes) do
      if not node.index and not homes[node.id] then
        homes[node.id] = true
        add(node.id, "are at home on a shard that the config does not have")
      end
    end
  end
end

-- --- what is repaired before the look ----------------------------------------------------------

local function repair_moves(run)
  local state = run.state
  if not state.directory.keeps_journal then return end
  if mend.run(state) then
    reports.repaired(run.report, "the directory has learnt from the shards where keys have moved")
  end
  for _, each in ipairs((select(2, recovery.run(state)))) do
    if each.how ~= "stuck" then
      reports.repaired(run.report, "move %d from %s to %s was %s", each.number, each.from, each.to, each.how)
    end
  end
end

-- Rows that only probing finds get their entries as they would at an open.
local function repair_integration(run)
  local state = run.state
  for index, shard in ipairs(state.shards) do
    if state.epoch.awaits[index] and shard.integrate and not shard.external_writers then
      local report = state.weak.db:integrate(shard.name, { resume = true })
      reports.repaired(run.report, "%s was taken over: %d keys, %d conflicts", shard.name, report.total_records,
        report.conflict_count)
    end
  end
end

--- Ends what moves have left, and takes shards over that await it; what was done goes into the report.
---@param run { state: table, report: table }
function verify.repair(run)
  repair_moves(run)
  repair_integration(run)
end

-- --- the run -----------------------------------------------------------------------------------

local function look(run)
  local state = run.state
  for index in ipairs(state.shards) do
    for _, check in ipairs(checks_of(state, index)) do
      check[1](run, index, check[2])
      if run.cancelled then return end
    end
    leftovers.check(run, index)
  end
  leftovers.note_live(run)
  if state.directory.keeps_journal then leftovers.check_journal(run) end
  check_absent(run)
  count_entries(run)
end

local function finish(run)
  local report = run.report
  report.cancelled = run.cancelled
  report.success = not run.cancelled
  for _, n in pairs(report.counts) do report.success = report.success and n == 0 end
  if report.repaired > 0 and run.state.weak.db then run.state.weak.db:flush_cache() end
  return report
end

--- Verifies the whole database.
---@param state table of lua/collegedb/state.lua
---@param opts { repair: boolean?, dry_run: boolean?, rate: number?, on_progress:
--- (fun(done: integer, total: integer, label: string): boolean?)? }? dry_run: repair nothing; rate: rows a second at
--- most; on_progress stops it by returning false
---@return table report { success, counts, findings, decide, repaired, repairs, keys, probed, kept, unusable,
--- bare_fences, moving, moving_seconds, unchecked, entries, entries_without_rows, cancelled }: see docs/moving.md
function verify.run(state, opts)
  opts = opts or {}
  check_options(opts)
  local run = { state = state, report = reports.new(state.directory.ask ~= nil),
    repair = opts.repair and not opts.dry_run }
  state:read_epoch()
  state:refresh_catalog()
  if run.repair then verify.repair(run) end
  list_unchecked(state, run.report)
  run.tell = teller(run, opts)
  run.seen = seen_keys.open()
  local seen <close> = run.seen -- luacheck: ignore
  look(run)
  return finish(run)
end

return verify
