--- The steps of a move on shards without transactions over several statements: each is one conditional statement, which
-- may be asked again when its answer was lost, and looks that come after it. What a look finds wrong takes the move
-- back: from the step on the fence keeps all as it is looked at.

local checks = require "collegedb.move_checks"
local clearing = require "collegedb.clearing"
local core = require "collegedb.core"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local procedures = require "collegedb.procedures"
local references = require "collegedb.references"
local single_fence = require "collegedb.single_fence"
local single_reads = require "collegedb.single_reads"

local single_steps = {}

local ATTEMPTS <const> = 8

-- --- taking keys -----------------------------------------------------------------------

-- Keys that are not as `free` says; ?2 is the number.
local HELD <const> = ([[SELECT k.key, o.state, o.move FROM %s AS k JOIN _collegedb_own AS o
  ON o.keyspace = ?1 AND o.key = k.key WHERE NOT (o.state = '%%s' AND o.floor < ?2) LIMIT 1]]):format(
  procedures.key_list("?3", "?4"))

local FREE <const> = { receiving = "tomb", sending = "active" } -- what a key with an own row must be

local function explain(job, index, state, keys, bytes, err)
  local shard, word = job.state.shards[index], procedures.word(err)
  if word == "sealed" then checks.fail_sealed(shard) end
  if word == "schema" then
    job.state:refresh_catalog(true)
    checks.fail_schema(shard)
  end
  if word ~= "held" then error(err, 0) end
  local row = shard.inner:first(HELD:format(FREE[state]), { job.keyspace, job.number, keys, bytes })
  checks.fail_held(job, shard, row and row.key or job.keys[1], row)
end

local TAKE <const> = [[INSERT INTO _collegedb_take (move, keyspace, state, peer, at, keys, bytes, tag, triggers, schema)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)]]

-- The fence stands as the move was begun with, or stands again.
local function standing(job, index, anew)
  local now = single_fence.hold(job.state, index, job.keyspace, anew)
  if now.schema ~= job.standing[index].schema then checks.fail_schema(job.state.shards[index]) end
  job.standing[index] = now
  return now
end

-- Takes all keys of a move, or none.
local function take(job, index, state, peer)
  local shard, keys, bytes = job.state.shards[index], procedures.keys(job.keys)
  local err
  for attempt = 1, ATTEMPTS do
    local held = standing(job, index, attempt > 1)
    local values = { job.number, job.keyspace, state, peer.name, os.time(), keys, bytes, held.tag, held.triggers,
      held.schema }
    local done
    done, err = pcall(procedures.sure, shard, "run", TAKE, values)
    if done then return held end
    if procedures.word(err) ~= "fence" then explain(job, index, state, keys, bytes, err) end
  end
  error(err, 0)
end

function single_steps.receive(job)
  job.target_parts = take(job, job.target_index, "receiving", job.source).parts
  job.matched = checks.match_target(job)
  local present = single_reads.any(job.target.inner, checks.present(job), { job.number })
  if present then checks.check_absent(job, job.target.inner) end
end

function single_steps.send(job)
  take(job, job.source_index, "sending", job.target)
  checks.check_rows(job, job.source.inner)
  references.check_source(job, job.source.inner)
  clearing.check(job)
end

-- --- the commit ------------------------------------------------------------------------

local COMMIT <const> = ([[UPDATE _collegedb_open SET state = 'sent' WHERE move = ?1 AND state = 'sending' AND %s = ?2
  AND (SELECT count(*) FROM _collegedb_own WHERE move = ?1 AND state = 'sending') = ?3
  AND %s]]):format(procedures.SCHEMA, procedures.stands("?4", "?5", "?6"))

local LOOK <const> = [[SELECT (SELECT count(*) FROM _collegedb_own WHERE move = ?1 AND state IN ('sent', 'tomb')
    AND instr(keyspace, char(1)) = 0) AS gone,
  EXISTS (SELECT 1 FROM _collegedb_open WHERE move = ?1 AND state = 'sending') AS open]]

--- After this there is no way back.
function single_steps.commit(job)
  for _ = 1, ATTEMPTS do
    local held = job.standing[job.source_index]
    local done = procedures.sure(job.source, "run", COMMIT, { job.number, held.schema, #job.keys, job.keyspace,
      held.tag, held.triggers })
    if done.meta.changes > 0 then return end
    local look = job.source.inner:first(LOOK, { job.number })
    if look.gone == #job.keys then return end -- it was, and the answer got lost
    if look.open == 0 then checks.raise_taken_back(job) end
    job.standing[job.source_index] = { schema = single_fence.schema(job.state, job.source_index), tag = held.tag,
      triggers = held.triggers }
    checks.check_tables(job)
  end
  checks.fail_schema(job.source)
end

-- --- what recovery takes too -----------------------------------------------------------

local DECIDED <const> = ([[SELECT EXISTS (SELECT 1 FROM _collegedb_own WHERE move = ?1 AND state IN ('sent', 'tomb'))
    AS committed,
  (SELECT count(*) FROM %s AS k JOIN _collegedb_own AS o ON o.keyspace = ?2 AND o.key = k.key
    WHERE o.state IN ('active', 'tomb') AND o.floor >= ?1) AS raised]]):format(procedures.key_list("?3", "?4"))

--- Takes a move back at its source.
---@param rows { keyspace: string, key: string }[] what the target had received by then
---@return boolean undone false: it was committed
---@return boolean decided the source can not send these keys by this move any more
function single_steps.undo_source(source, rows, number)
  local list, keyspace = {}, rows[1] and rows[1].keyspace or ""
  for i, row in ipairs(rows) do list[i] = row.key end
  if #rows == 0 and not fence.is_up(source.inner) then return true, true end
  procedures.make(source)
  local keys, bytes = procedures.keys(list)
  procedures.sure(source, "run", "INSERT INTO _collegedb_undo (move, keyspace, at, keys, bytes) VALUES (?, ?, ?, ?, ?)",
    { number, keyspace, os.time(), keys, bytes })
  local look = source.inner:first(DECIDED, { number, keyspace, keys, bytes })
  return look.committed == 0, look.raised == #rows
end

-- Where there is no such table there is no such move.
local function run_if_up(shard, sql, params)
  return fence.reading(procedures.sure, shard, "run", sql, params)
end

function single_steps.undo_target(target, number)
  run_if_up(target, "DELETE FROM _collegedb_open WHERE move = ? AND state = 'receiving'", { number })
end

function single_steps.activate(target, number)
  run_if_up(target, "UPDATE _collegedb_open SET state = 'active' WHERE move = ? AND state = 'receiving'", { number })
end

-- Whether rows that stay refer to some that go is asked in the same statement: a key that is enforced would refuse it,
-- or change or delete those rows.
local function try_clean(source, number, known)
  local holding = references.holding(known.references, known.keyspace)
  local free = #holding > 0 and ("AND NOT (%s)"):format(table.concat(holding, " OR ")) or ""
  local done = run_if_up(source, ("UPDATE _collegedb_open SET state = 'tomb' WHERE move = ?1 AND state = 'sent' "
    .. "AND %s = ?2 %s"):format(procedures.SCHEMA, free), { number, known.schema })
  return not done or done.meta.changes > 0
end

-- What the cleaning has to know of the source.
local function know(state, source, keyspace)
  local index = state.by_name[source.name]
  local schema = single_fence.schema(state, index)
  return { keyspace = keyspace, schema = schema, references = references.of(source, group.parts(state.catalog, index,
    keyspace)) }
end

--- Deletes the rows of a committed move, unless rows that stay refer to them.
---@param known { keyspace: string, schema: string, references: collegedb.Reference[] }? what the mover knew
---@return boolean done
function single_steps.clean(state, source, number, known)
  if known and try_clean(source, number, known) then return true end
  for _ = 1, ATTEMPTS do
    local open = fence.reading(source.inner.first, source.inner, "SELECT keyspace FROM _collegedb_open WHERE move = ? "
      .. "AND state = 'sent'", { number })
    if not open then return true end
    known = know(state, source, open.keyspace)
    if try_clean(source, number, known) then return true end
    if single_reads.any(source.inner, references.holding(known.references, known.keyspace), { number }) then
      return false
    end
  end
  return false
end

--- A key that a shard had sent to where nothing can be of it any more may live there again, if its own row is still
-- this.
---@param own { move: integer, floor: integer, peer: string? }
function single_steps.live_again(shard, keyspace, text, own)
  procedures.sure(shard, "run", [[UPDATE _collegedb_own SET state = 'active' WHERE keyspace = ? AND key = ?
    AND state = 'tomb' AND move = ? AND floor = ? AND peer IS ?]],
    { keyspace, text, own.move, own.floor, own.peer or core.null })
end

--- Forgets keys that went, or came, before a time. The fence stays.
function single_steps.forget(shard, time)
  run_if_up(shard, "DELETE FROM _collegedb_own WHERE state IN ('tomb', 'active') AND at < ?", { time })
end

return single_steps
