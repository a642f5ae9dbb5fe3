--- What moves have left in the shards and in the directory: keys held by a move that nobody goes on with, staged rows
-- of no move, a fence around nothing, keys that a shard has sent to one that does not know of them.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local fence = require "collegedb.fence"
local moves = require "collegedb.moves"
local probe = require "collegedb.probe"
local quote = require "collegedb.quote"
local reports = require "collegedb.verify_report"
local single_fence = require "collegedb.single_fence"

local REPAIR <const> = "verify with repair ends it"

local leftovers = { REPAIR = REPAIR } -- advice

-- --- keys that are held -------------------------------------------------------------------

local function add_held(run, shard, row)
  local peer = run.state.by_name[row.peer]
  local advice = peer and REPAIR or ("it needs shard %s, which the config does not have"):format(row.peer)
  reports.add(run.report, { kind = "leftover", key = row.key, shard = shard.name, other_shard = row.peer,
    state = row.state, move = row.move, advice = advice }, not peer or run.repair)
end

-- Its mover may have ended it after the row was read.
local function is_still(shard, row)
  local now = fence.own_row(shard.inner, row.keyspace, row.key)
  return now ~= nil and now.move == row.move and now.state == row.state
end

-- A loop over the own rows of a shard in some states, read a page at a time: between two pages nothing of the file is
-- held, and what is looked at again is as it is by then.
local function own_rows(shard, states)
  local sql = ([[SELECT keyspace, key, state, move, floor, peer, before, at FROM _collegedb_own WHERE state IN (%s)
    AND (keyspace, key) > (?1, ?2) AND instr(keyspace, char(1)) = 0 ORDER BY keyspace, key LIMIT 1000]]):format(states)
  local page, at, last = nil, 0, { keyspace = "", key = "" }
  return function()
    if not page or (at == #page and at == 1000) then
      at = 0
      page = fence.reading(shard.inner.all, shard.inner, sql, { last.keyspace, last.key }) or {}
      last = page[#page]
    end
    at = at + 1
    return fence.own_checked(page[at])
  end
end

local REMEMBERED <const> = 1000 -- ms that a move counts as live without being asked for again

-- Does a row's move go on? Of one that the directory does not know, as the shards do when a line is being closed, the
-- time at which it took the key tells.
local function is_live(run, row)
  local known = run.live[row.move]
  if known and core.now() < known.till then return true end
  local live, remains = moves.is_live(run.state.directory, row.move, row.at)
  if not live then return false end
  known = known or { keys = {} }
  known.till, known.remains = core.now() + REMEMBERED, remains or moves.lease
  run.live[row.move] = known
  return true
end

local function check_held(run, shard)
  run.live = run.live or {}
  for row in own_rows(shard, "'sending', 'sent', 'receiving'") do
    if is_live(run, row) then
      local keys = run.live[row.move].keys
      keys[shard] = (keys[shard] or 0) + 1
    elseif is_still(shard, row) then
      add_held(run, shard, row)
    end
  end
end

--- Notes in the report what is held by moves that go on: no finding. A key may be held on two shards.
function leftovers.note_live(run)
  for _, known in pairs(run.live or {}) do
    local most = 0
    for _, count in pairs(known.keys) do most = math.max(most, count) end
    run.report.moving = run.report.moving + most
    run.report.moving_seconds = math.max(run.report.moving_seconds, known.remains)
  end
end

-- --- keys that went ---------------------------------------------------------------------------

-- A shard forgets where keys went after a time, and may do so a little before another one.
local function is_remembered(run, row) return row.at > os.time() - run.state.config.forward_retention + 60 end

-- By the move that took it there: the floor may be that of a later one, which was to take it from here and was undone.
local function is_known(target, row)
  local own = fence.own_row(target.inner, row.keyspace, row.key)
  return own ~= nil and own.floor >= row.move
end

local function check_tomb(run, index, row)
  local state = run.state
  local shard, peer = state.shards[index], state.by_name[row.peer]
  local tag = row.keyspace ~= "" and shard.keyspace or nil
  if not peer or not is_remembered(run, row) or is_known(state.shards[peer], row) then return end
  if probe.has_rows(state, peer, tag, row.keyspace, row.key) or not is_still(shard, row) then return end
  reports.add(run.report, { kind = "lost", key = catalog.key_value(row.keyspace, row.key), shard = shard.name,
    other_shard = row.peer, move = row.move, advice = ("its rows went to %s by move %d: was that file put back from "
    .. "an older backup? Take the rows from a backup of %s or %s"):format(row.peer, row.move, shard.name, row.peer) },
    true)
end

local function check_tombs(run, index)
  for row in own_rows(run.state.shards[index], "'tomb'") do
    if row.floor > 0 and not row.before then check_tomb(run, index, row) end -- not one whose key was only sent ahead
  end
end

-- --- stages and fences ------------------------------------------------------------------------------

local function stage_names(shard)
  return shard.inner:all [[SELECT name FROM sqlite_schema WHERE type = 'table'
    AND substr(name, 1, 17) = '_collegedb_stage_' ORDER BY name]]
end

local UNOWNED <const> = ("%s NOT IN (SELECT move FROM _collegedb_open WHERE state = 'receiving')"):format(
  fence.move_sql)

local function clear_stage(run, shard, name, count)
  local n = shard.handle:run(("DELETE FROM %s WHERE %s"):format(quote.name(name), UNOWNED)).meta.changes
  if n > 0 then
    reports.repaired(run.report, "%s: %d rows that no move had staged were removed from %s", shard.name, count, name)
  end
end

local function check_stages(run, shard)
  for _, row in ipairs(stage_names(shard)) do
    local found = fence.reading(shard.inner.first, shard.inner, ("SELECT count(*) AS n FROM %s WHERE %s"):format(
      quote.name(row.name), UNOWNED))
    local n = found and found.n or 0
    if n > 0 and run.repair then
      clear_stage(run, shard, row.name, n)
    elseif n > 0 then
      reports.add(run.report, { kind = "leftover", what = "are staged rows of no move", table = row.name, rows = n,
        shard = shard.name, advice = REPAIR })
    end
  end
end

-- A fence around nothing: "harmless" after a move that was undone, or "harmful" when its table is gone, since then its
-- triggers refuse every write.
local function is_bare(shard, tx)
  local inner = tx or shard.inner
  if shard.single then return single_fence.is_bare(shard) and "harmless" end
  if fence.is_up(inner) then
    return fence.reading(inner.first, inner, "SELECT 1 AS yes FROM _collegedb_own LIMIT 1") == nil and "harmless"
  end
  -- In one statement: others may put a fence up meanwhile.
  return inner:first [[SELECT 1 AS yes FROM sqlite_schema
    WHERE substr(name, 1, 17) IN ('_collegedb_fence_', '_collegedb_stage_')
    AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_collegedb_own') LIMIT 1]] ~= nil and "harmful"
end

local function remove_bare(shard)
  if shard.single then return single_fence.remove_bare(shard) end
  return shard.handle:transaction(function(tx)
    local still = is_bare(shard, tx)
    if still then fence.remove(tx) end
    return still
  end)
end

-- While the shards are changing a fence waits for keys.
local function check_bare_fence(run, shard)
  local bare = #run.state.epoch.placements == 1 and is_bare(shard)
  if not bare then return end
  if run.repair then
    if remove_bare(shard) then
      reports.repaired(run.report, "%s: the fence, which was around nothing, was taken down", shard.name)
    end
  elseif bare == "harmless" then
    run.report.bare_fences = run.report.bare_fences + 1
  else
    reports.add(run.report, { kind = "leftover", what = "the fence has lost its table, so that it refuses every write",
      shard = shard.name, advice = REPAIR })
  end
end

--- Checks one shard.
---@param run table of lua/collegedb/workflows/verify.lua
function leftovers.check(run, index)
  local shard = run.state.shards[index]
  if fence.is_up(shard.inner) then
    check_held(run, shard)
    check_stages(run, shard)
    check_tombs(run, index)
  end
  check_bare_fence(run, shard)
  if run.repair and shard.single and single_fence.clear_unfinished(shard) then
    reports.repaired(run.report, "%s: triggers of a fence that was not put up whole were removed", shard.name)
  end
end

-- --- the directory's journal ----------------------------------------------------------------------------

--- Checks the journal: lines of movers that are gone.
function leftovers.check_journal(run)
  for _, number in ipairs(moves.dead(run.state.directory)) do
    reports.add(run.report, { kind = "leftover", what = "is a line of the journal whose mover is gone", move = number,
      shard = "the directory", advice = REPAIR })
  end
end

return leftovers
