--- Compares every row with where its key resolves, and every entry with rows. Reads only, unless it is asked to repair
-- what has one right answer; what a person must decide is listed.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local existing_keys = require "collegedb.existing_keys"
local fence = require "collegedb.fence"
local moves = require "collegedb.moves"
local probe = require "collegedb.probe"
local quote = require "collegedb.quote"
local recovery = require "collegedb.recovery"
local router = require "collegedb.router"

local verify = { name = "verify", api = 1 }

local SHOWN <const> = 1000 -- findings of each kind that are listed; the counts are exact

local kinds = {
  doubled = "has rows on two shards", misplaced = "resolves to a shard that has no row of it",
  orphaned = "follows a row that is not there", leftover = "was left over by a move that is not over",
}

local function add(report, kind, finding)
  report.counts[kind] = report.counts[kind] + 1
  finding.kind, finding.what = kind, kinds[kind]
  if report.counts[kind] <= SHOWN then report.findings[#report.findings + 1] = finding end
end

-- --- rows against directory -------------------------------------------------------------

-- The seen digests of one run lie in a temporary table of the directory's connection, so that memory stays small.
local SEEN <const> = [[DROP TABLE IF EXISTS temp._collegedb_seen;
CREATE TEMP TABLE _collegedb_seen (digest BLOB PRIMARY KEY) WITHOUT ROWID;]]

local function check_key(state, report, index, column, key, repair)
  local space, text = core.key_parts(key)
  space, text = space or "", text or key
  local tag, keyspace = catalog.untag(space)
  local digest = core.blob(core.digest(space, text, state.directory.secret))
  report.keys = report.keys
    + state.directory.shard:run("INSERT OR IGNORE INTO temp._collegedb_seen VALUES (?)", { digest }).meta.changes
  local found = router.resolve(state, space, text, nil, false)
  if found == index then return end
  local shard, other = state.shards[index].name, state.shards[found].name
  if probe.has(state, found, tag, keyspace, text) then
    return add(report, "doubled", { key = key, table = column.name, shard = shard, other_shard = other })
  end
  if repair then
    state.directory:assign({ { keyspace = space, text = text, id = state.shards[index].id } }, false)
    report.repaired = report.repaired + 1
    return
  end
  add(report, "misplaced", { key = key, table = column.name, shard = shard, other_shard = other })
end

local function check_column(state, report, index, column, opts)
  local shard = state.shards[index]
  local tag = column.keyspace ~= "" and shard.keyspace or nil
  for key in existing_keys.each(shard.inner, column, tag) do
    check_key(state, report, index, column, key, opts.repair)
    report.looked = report.looked + 1
    if opts.on_progress and report.looked % 1000 == 0 then opts.on_progress(report.looked, nil, column.name) end
  end
end

-- Rows that refer to a parent which is not on their shard.
local function check_orphans(state, report, index)
  local shard = state.shards[index]
  for _, each in pairs(state.catalog.tables) do
    if each.group and each.shards[index] then
      local parent = state.catalog.tables[quote.fold(each.group.parent)]
      local n = shard.inner:first(([[SELECT count(*) AS n FROM %s AS t WHERE t.%s IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM %s AS p WHERE p.%s = t.%s)]]):format(quote.name(each.name), quote.name(each.group.column),
        quote.name(parent.name), quote.name(each.group.target), quote.name(each.group.column))).n
      if n > 0 then
        add(report, "orphaned", { table = each.name, shard = shard.name, parent = parent.name, rows = n })
      end
    end
  end
end

-- --- what moves have left ---------------------------------------------------------------

local function check_leftovers(state, report, index)
  local shard = state.shards[index]
  if not fence.is_up(shard.inner) then return end
  for row in shard.inner:each [[SELECT keyspace, key, state, move, peer FROM _collegedb_own
      WHERE state IN ('sending', 'sent', 'receiving')]] do
    if not moves.is_live(state.directory, row.move) then
      add(report, "leftover", { key = row.key, shard = shard.name, other_shard = row.peer, state = row.state })
    end
  end
end

--- Verifies the whole database.
---@param state table of lua/collegedb/instance.lua
---@param opts { repair: boolean?, on_progress: function? }?
---@return table report { success, keys, counts, findings, repaired, entries, entries_without_rows }
function verify.run(state, opts)
  opts = opts or {}
  local report = { keys = 0, looked = 0, repaired = 0, findings = {},
    counts = { doubled = 0, misplaced = 0, orphaned = 0, leftover = 0 } }
  state:read_epoch()
  state:refresh_catalog()
  if opts.repair then
    local done = recovery.run(state)
    report.repaired = done.finished + done.undone
  end
  state.directory.shard:exec(SEEN)
  for index in ipairs(state.shards) do
    for _, column in ipairs(catalog.key_columns(state.catalog, index)) do
      check_column(state, report, index, column, opts)
    end
    check_orphans(state, report, index)
    check_leftovers(state, report, index)
  end
  local entries = state.directory.shard:first [[SELECT count(*) AS n, count(*) FILTER (WHERE digest NOT IN
    (SELECT digest FROM temp._collegedb_seen)) AS empty FROM _collegedb_entries]]
  state.directory.shard:exec "DROP TABLE temp._collegedb_seen"
  report.entries, report.entries_without_rows = entries.n, entries.empty
  report.looked = nil
  report.success = true
  for _, n in pairs(report.counts) do report.success = report.success and n == 0 end
  return report
end

return verify
