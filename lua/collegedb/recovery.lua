--- Finishing or undoing what a dead mover left. The own rows in the shards decide; the journal only says
-- which movers may still live. Every step is one that the mover itself could take, and may be taken twice.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local fence_upkeep = require "collegedb.fence_upkeep"
local moves = require "collegedb.moves"
local single_steps = require "collegedb.single_steps"

local recovery = {}

local function keys_of(shard, number, state)
  return fence.reading(shard.inner.all, shard.inner, "SELECT keyspace, key "
    .. "FROM _collegedb_own WHERE move = ?1 AND state = coalesce(?2, state) AND instr(keyspace, char(1)) = 0",
    { number, state or core.null }) or {}
end

local RAISE_FLOOR <const> = "INSERT INTO _collegedb_own VALUES (?1, ?2, 'active', ?3, ?3, NULL, NULL, ?4) "
  .. fence.RAISING

-- Takes a move back at its source, in one step: a slow mover may go on before and after it. `keys` are those that the
-- target had received by then; they are decided when their source can not send them by this move any more.
---@return boolean undone, boolean decided
local function undo_source(source, keys, number)
  if source.single then return single_steps.undo_source(source, keys, number) end
  local undone, decided = true, true
  if #keys == 0 and not fence.is_up(source.inner) then return undone, decided end
  fence.step(source, function(tx)
    if #keys > 0 then fence.make_own(tx) elseif not fence.is_up(tx) then return end -- it went down meanwhile
    tx:run([[UPDATE _collegedb_own SET state = 'active', floor = ?1, peer = NULL WHERE move = ?1
      AND state = 'sending']], { number })
    tx:run("DELETE FROM _collegedb_open WHERE move = ? AND state = 'sending'", { number })
    undone = not tx:first("SELECT 1 AS yes FROM _collegedb_own WHERE move = ? AND state IN ('sent', 'tomb')",
      { number })
    for _, row in ipairs(undone and keys or {}) do
      local raised = tx:run(RAISE_FLOOR, { row.keyspace, row.key, number, os.time() }).meta.changes
      decided = decided and raised == 1
    end
  end)
  return undone, decided
end

local function undo_target(target, number)
  if target.single then return single_steps.undo_target(target, number) end
  fence.step(target, function(tx)
    if not fence.is_up(tx) then return end
    tx:run("DELETE FROM _collegedb_open WHERE move = ? AND state = 'receiving'", { number })
    fence.empty_stages(tx, number)
    -- What was never here leaves no trace; what left here once, or was sent ahead, stays remembered.
    tx:run("DELETE FROM _collegedb_own WHERE move = ? AND state = 'receiving' AND before IS NULL", { number })
    tx:run("UPDATE _collegedb_own SET state = 'tomb', peer = before WHERE move = ? AND state = 'receiving'", { number })
    fence.remove_bare(tx)
  end)
end

--- Takes a move back that was not committed. False when it was: then it must be finished. While a key of it is on its
-- way by another move, the target goes on receiving; the next recovery ends that.
---@param source table a shard of the state
---@param target table
---@param number integer
---@return boolean undone
---@return boolean whole also at the target
function recovery.undo(source, target, number)
  local keys = keys_of(target, number, "receiving")
  local undone, decided = undo_source(source, keys, number)
  if undone and decided and #keys > 0 then undo_target(target, number) end
  return undone, undone and decided
end

--- The staged rows of a committed move become rows.
function recovery.activate(target, number)
  if target.single then return single_steps.activate(target, number) end
  fence.transaction(target, function(tx)
    if not fence.is_up(tx) then return end
    tx:run("UPDATE _collegedb_open SET state = 'active' WHERE move = ? AND state = 'receiving'", { number })
  end)
end

-- Calls f(…), and once more when the fence of other tables was in the way, which were dropped meanwhile.
local function mended(state, shards, f, ...)
  local done, answer = pcall(f, ...)
  if done then return answer end
  if not errors.is_error(answer, "SQL") then error(answer, 0) end
  state:refresh_catalog(true)
  for _, shard in ipairs(shards) do fence_upkeep.run(state, state.by_name[shard.name]) end
  return f(...)
end

--- The same, also where other tables were dropped since.
---@param state table of lua/collegedb/state.lua
function recovery.bring_in(state, target, number) mended(state, { target }, recovery.activate, target, number) end

-- The target's keys that came by the move and are there are those that the source sent by it.
local function has_all(source, target, number)
  local function digest(shard, state)
    local _, _, _, cursor = shard.inner:each(("SELECT keyspace, key FROM _collegedb_own WHERE move = ?1 AND %s "
      .. "AND instr(keyspace, char(1)) = 0 ORDER BY keyspace, key"):format(state), { number })
    local rows <close> = cursor
    return select(2, core.copy_rows(rows, math.maxinteger, math.maxinteger))
  end
  return fence.reading(function()
    return digest(source, "state = 'sent'") == digest(target, "floor >= ?1")
  end)
end

local function has_each(source, target, number)
  for _, row in ipairs(keys_of(source, number)) do
    local own = fence.own_row(target.inner, row.keyspace, row.key)
    if not own or own.floor < number then return false end
  end
  return true
end

--- Clears the source of a committed move, when the target says of each key that it has, or has had, it.
---@param seen boolean? that was seen
---@param known table? of single_steps.clean
---@return boolean done
function recovery.clean(state, source, target, number, seen, known)
  if not seen and not has_all(source, target, number) and not has_each(source, target, number) then return false end
  if source.single then return single_steps.clean(state, source, number, known) end
  fence.transaction(source, function(tx)
    if not fence.is_up(tx) then return end
    tx:run("UPDATE _collegedb_open SET state = 'tomb' WHERE move = ? AND state = 'sent'", { number })
  end)
  return true
end

local function entry(target, row, number)
  local full = catalog.tag(row.keyspace ~= "" and target.keyspace or nil, row.keyspace)
  return { keyspace = full, text = row.key, id = target.id, version = number }
end

-- The keys of a move that its target says it has, or has had. By what the source has sent: at the target the key's row
-- may have another move's number, of one that was undone.
local function entries_of(source, target, number)
  local whole, list = has_all(source, target, number), {}
  for _, row in ipairs(keys_of(source, number, "sent")) do
    local own = not whole and fence.own_row(target.inner, row.keyspace, row.key)
    if whole or (own and own.floor >= number) then list[#list + 1] = entry(target, row, number) end
  end
  return list
end

-- The keys that came to a shard by a move and are there.
local function arrived(target, number)
  local list = {}
  for row in target.inner:each([[SELECT keyspace, key FROM _collegedb_own WHERE move = ? AND floor = move
      AND state = 'active' AND instr(keyspace, char(1)) = 0]], { number }) do
    list[#list + 1] = entry(target, row, number)
  end
  return list
end

-- Entries of keys are written unless a later move's stand.
local function publish(state, list)
  if list and #list > 0 then state.directory:publish_all(list) end
end

--- Does what is left of a committed move.
---@return boolean done
function recovery.finish(state, source, target, number)
  recovery.activate(target, number)
  publish(state, entries_of(source, target, number))
  return recovery.clean(state, source, target, number)
end

local OPEN <const> = [[SELECT move, state, peer,
    (SELECT CAST(max(at) AS INTEGER) FROM _collegedb_own WHERE move = o.move) AS begun
  FROM _collegedb_open AS o WHERE typeof(move) = 'integer' AND move = coalesce(?, move)]]

-- The moves that shards know of and that are not over: number → { source, target, committed }, both as shards; a
-- shard that the config does not have is missing.
---@param only integer? this one alone
local function open_moves(state, only)
  local found = {}
  for _, shard in ipairs(state.shards) do
    for _, row in ipairs(fence.reading(shard.inner.all, shard.inner, OPEN, { only or core.null }) or {}) do
      local each = found[row.move] or {}
      found[row.move], each.begun = each, math.max(each.begun or 0, row.begun or 0)
      local peer = state.shards[state.by_name[row.peer]]
      if row.state == "receiving" then each.source, each.target = peer, shard
      else each.source, each.target, each.committed = shard, peer, row.state == "sent" end
    end
  end
  return found
end

local HELD <const> = {} -- a key of it is on its way by another move

local function end_move(state, number, each)
  if not each.committed then
    local undone, whole = recovery.undo(each.source, each.target, number)
    if undone then return whole and "undone" or HELD end
  end
  return recovery.finish(state, each.source, each.target, number) and "finished" or nil
end

-- A move that a constraint is in the way of, or a table that was changed since, waits for somebody to mend that. All
-- else goes on meanwhile.
local function is_of_move(err) return errors.is_error(err, "CONSTRAINT") or errors.is_error(err, "SQL") end

-- Finishes or undoes one move; nil when that needs a shard that is not there, it goes on elsewhere, or rows are in the
-- way.
---@return "finished"|"undone"|nil
---@return string? why not
local function recover(state, number, each)
  if not each.source or not each.target then return nil end
  local done, how = pcall(mended, state, { each.source, each.target }, end_move, state, number, each)
  if not done and is_of_move(how) then return nil, how.message end
  if not done then error(how, 0) end
  if how == HELD then return nil, "keys of it are on their way by another move" end
  if how then moves.close(state.directory, number) end
  return how
end

-- Brings a move to its end as far as that goes now; false when others hold what it needs, or a transaction of this
-- program does.
local function try(state, number)
  local done, how = pcall(recover, state, number, open_moves(state, number)[number] or {})
  if done then return how ~= nil end
  if errors.is_error(how, "BUSY") then return false end
  error(how, 0)
end

--- Ends a committed move of a key that shard `index` has sent, so that no reader finds the old rows there any more when
-- the first write was done at the new place.
---@param keyspace string without a shard's tag
function recovery.complete(state, index, keyspace, text)
  local own = fence.own_row(state.shards[index].inner, keyspace, text)
  if own and own.state == "sent" then try(state, own.move) end
end

--- Ends the move that holds a key on shard `index`, if its mover is dead. For whoever waits for it.
---@param keyspace string without a shard's tag
function recovery.settle(state, index, keyspace, text)
  if not state.directory.keeps_journal then return end
  local own = fence.own_row(state.shards[index].inner, keyspace, text)
  local open = own and (own.state == "sending" or own.state == "receiving")
  if open and not moves.is_live(state.directory, own.move) then try(state, own.move) end
end

--- The shard where a move holds a key that it has not committed; it is ended if its mover is dead.
---@param keyspace string without a shard's tag
---@return table? shard
function recovery.holder(state, keyspace, text)
  for index, shard in ipairs(state.shards) do
    recovery.settle(state, index, keyspace, text)
    local own = fence.own_row(shard.inner, keyspace, text)
    if own and (own.state == "sending" or own.state == "receiving") then return shard end
  end
end

--- A write has waited for as long as it may.
---@param shard table that holds the key
function recovery.raise_moving(state, shard, text)
  errors.raise("MOVING", { key = text, shard = shard.name },
    "the key %s was on its way to another shard for longer than move_deadline (%g s)", text, state.config.move_deadline)
end

--- Forgets where keys have gone, long after anything can still be running that was begun before; on a shard that others
-- write, never.
function recovery.forget(state)
  if #state.epoch.placements > 1 then return end -- where a key was sent ahead to is needed until then
  -- What is remembered of a key must not outlive the fence at the place that it has left.
  local time = os.time() - math.ceil(math.max(state.config.forward_retention, state.config.mapping_cache_ttl))
  for _, shard in ipairs(state.shards) do
    local old = not shard.external_writers and fence.reading(shard.inner.first, shard.inner,
      "SELECT 1 AS yes FROM _collegedb_own WHERE at < ? LIMIT 1", { time })
    if old and shard.single then
      single_steps.forget(shard, time)
    elseif old then
      fence.step(shard, function(tx)
        if fence.is_up(tx) then fence.forget(tx, time) end
      end)
    end
  end
end

-- What dead movers had journaled is over in the shards by now, unless it is stuck. The directory may be of a backup,
-- from before it heard so.
local function close_dead(state)
  local stuck
  for _, number in ipairs(moves.dead(state.directory)) do
    stuck = stuck or open_moves(state)
    if not stuck[number] then
      for _, shard in ipairs(state.shards) do
        publish(state, fence.reading(arrived, shard, number))
      end
      moves.close(state.directory, number)
    end
  end
end

--- Recovers every move whose mover's lease has run out.
---@param state table of lua/collegedb/state.lua
---@param all boolean? also those that may still live: only when it is known that they do not
---@return { finished: integer, undone: integer, live: integer } report
---@return { number: integer, how: "finished"|"undone"|"stuck", from: string?, to: string?, why: string? }[] moves that
--- were not live; a stuck one needs a shard that is not there, or that does not know of it, or `why` says what is in
--- its way
---@return table<integer, integer> going those that were: by number, for how many seconds they count as live
function recovery.run(state, all)
  local report, list, going = { finished = 0, undone = 0, live = 0 }, {}, {}
  for number, known in pairs(open_moves(state)) do
    local live, remains
    if not all then live, remains = moves.is_live(state.directory, number, known.begun) end
    local each = not live and open_moves(state, number)[number] -- its mover may have ended it just now
    if live then
      report.live, going[number] = report.live + 1, remains or moves.lease
    elseif each then
      local how, why = recover(state, number, each)
      how = how or "stuck"
      if report[how] then report[how] = report[how] + 1 end
      local told = { number = number, how = how, from = each.source and each.source.name,
        to = each.target and each.target.name, why = why }
      list[#list + 1] = told
      state:emit("recovered", ("move %d from %s to %s, which a program had left: %s%s"):format(number, told.from or "?",
        told.to or "?", how, why and ", " .. why or ""), told)
    end
  end
  close_dead(state)
  if report.finished > 0 and state.weak.db then state.weak.db:flush_cache() end
  return report, list, going
end

return recovery
