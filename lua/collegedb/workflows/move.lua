--- Moving groups from one shard to another while programs run. Each step is one transaction in one database; what
-- a crash leaves behind, recover.lua finishes or undoes. The order of the steps is the protocol: docs/moving.md.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local moves = require "collegedb.moves"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"
local quote = require "collegedb.quote"
local recovery = require "collegedb.recovery"
local references = require "collegedb.references"
local staging = require "collegedb.staging"

local move = { name = "move", api = 1 }

-- --- what can be moved ---------------------------------------------------------------

local function same_set(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

-- The same tables on both shards, in what the move relies on.
local function check_target(job)
  local there = {}
  for _, part in ipairs(job.target_parts) do there[quote.fold(part.name)] = part end
  for _, part in ipairs(job.parts) do
    local other = there[quote.fold(part.name)]
    if not other then
      errors.raise("TABLE_NOT_FOUND", { table = part.name, shard = job.target.name },
        "shard %s has no table %s of this key's group; db:create_schema gives it the other shards' tables",
        job.target.name, part.name)
    end
    if not same_set(part.columns, other.columns) then
      errors.raise("UNSUPPORTED", { table = part.name, shard = job.target.name },
        "table %s has other columns on %s than on %s", part.name, job.target.name, job.source.name)
    end
  end
end

local function check_triggers(shard, parts)
  for _, part in ipairs(parts) do
    local row = shard.inner:first([[SELECT name FROM sqlite_schema WHERE type = 'trigger'
      AND tbl_name = ? COLLATE NOCASE AND substr(name, 1, 11) <> '_collegedb_']], { part.name })
    if row then
      errors.raise("UNSUPPORTED", { table = part.name, shard = shard.name },
        "rows of %s can not be moved: its trigger %s on shard %s would run for them", part.name, row.name, shard.name)
    end
  end
end

-- The parts of a keyspace's groups on a shard, with their storage, and the foreign keys to and from others, as long as
-- the catalog is this one.
local function parts_of(state, index, keyspace)
  local known, id = state.catalog, index .. ":" .. keyspace
  known.stored = known.stored or {}
  if not known.stored[id] then
    local parts, shard = group.parts(known, index, keyspace), state.shards[index]
    group.read_storage(shard.inner, parts)
    check_triggers(shard, parts)
    known.stored[id] = { parts, references.of(shard, parts) }
  end
  return table.unpack(known.stored[id])
end

local function prepare(job)
  local state = job.state
  if not state.directory.keeps_journal then
    errors.raise("UNSUPPORTED", nil, "keys can not be moved while the directory is in %s: a move needs a directory "
      .. "with transactions", state.directory.path)
  end
  state:check_outside(job.source_index, job.target_index)
  state:refresh_catalog()
  job.parts, job.references = parts_of(state, job.source_index, job.keyspace)
  job.target_parts, job.target_references = parts_of(state, job.target_index, job.keyspace)
  check_target(job)
  job.enforced = fence.enforces_keys(job.source) or fence.enforces_keys(job.target)
  job.digests = state.directory:digests(job.full, job.keys)
end

-- --- the steps -----------------------------------------------------------------------

local function fail_conflict(job, shard, key, what)
  errors.raise("CONFLICT", { key = key, shard = shard.name }, "the key %s can not go from %s to %s: %s", key,
    job.source.name, job.target.name, what)
end

-- Whichever key of the move has a row of its group here already.
local function find_present(job, tx, parts)
  local keys = fence.keys_sql(job.keyspace, "?1")
  for _, part in ipairs(parts) do
    local row = tx:first(("SELECT %s AS key FROM %s AS t WHERE %s LIMIT 1"):format(group.key_sql(part, "t"),
      quote.name(part.name), group.rows_sql(part, keys)), { job.number })
    if row then return row.key, part.name end
  end
end

-- Where the key had gone from here is kept, in case that this move is undone.
local RECEIVE = [[INSERT INTO _collegedb_own VALUES (?2, ?1, 'receiving', ?3, 0, ?4, NULL, ?5) ON CONFLICT
  DO UPDATE SET state = 'receiving', move = ?3, before = peer, peer = ?4, at = ?5 WHERE state = 'tomb' AND floor < ?3]]
local SEND = [[INSERT INTO _collegedb_own VALUES (?2, ?1, 'sending', ?3, 0, ?4, NULL, ?5) ON CONFLICT
  DO UPDATE SET state = 'sending', move = ?3, peer = ?4, at = ?5 WHERE state = 'active' AND floor < ?3]]

local function take_keys(job, tx, shard, sql, peer)
  local _, refused = core.run_each(tx, sql, job.keys, job.keyspace, job.number, peer.name, os.time())
  if refused then
    local own = fence.own_row(tx, job.keyspace, job.keys[refused])
    fail_conflict(job, shard, job.keys[refused], own and ("%s has it as %s by move %d, which %s"):format(shard.name,
      own.state, own.move, own.move > job.number and "came later" or "may not be over: verify tells") or "it is held")
  end
  tx:run("INSERT INTO _collegedb_open VALUES (?, ?, ?, ?)",
    { job.number, job.keyspace, sql == SEND and "sending" or "receiving", peer.name })
end

local function raise_taken_back(job)
  errors.raise("MOVED", { shard = job.source.name }, "move %d was taken back by a recovery meanwhile", job.number)
end

local function check_open(job, tx, state)
  local open = fence.is_up(tx) and tx:first("SELECT 1 AS yes FROM _collegedb_open WHERE move = ? AND state = ?",
    { job.number, state })
  if not open then raise_taken_back(job) end
end

-- What has no rows, and never had, does not go anywhere: it may have a place elsewhere by now.
local function check_rows(job, tx)
  local row = tx:first(("SELECT key FROM _collegedb_own AS o WHERE move = ? AND keyspace = ? AND floor = 0 "
    .. "AND NOT (%s) LIMIT 1"):format(group.any_sql(job.parts, "SELECT o.key AS key")), { job.number, job.keyspace })
  if row then
    errors.raise("MAPPING_NOT_FOUND", { key = row.key, shard = job.source.name }, "the key %s has no rows on %s any "
      .. "more: there is nothing to move", row.key, job.source.name)
  end
end

local steps = {}

function steps.journal(job)
  job.renewed = core.now()
  job.number = moves.begin(job.state.directory, job)
end

function steps.receive(job)
  fence.step(job.target, function(tx)
    if fence.is_sealed(tx) then
      errors.raise("UNSUPPORTED", { shard = job.target.name }, "shard %s was drained, and takes no rows",
        job.target.name)
    end
    fence.hold(job.state, tx, job.target_index, job.keyspace)
    take_keys(job, tx, job.target, RECEIVE, job.source)
    local key, name = find_present(job, tx, job.target_parts)
    if key then fail_conflict(job, job.target, key, ("%s has rows of it in %s"):format(job.target.name, name)) end
  end)
end

function steps.send(job)
  fence.transaction(job.source, function(tx)
    if inspect.version(tx) ~= job.state.catalog.versions[job.source_index] then
      errors.raise("CONFLICT", { shard = job.source.name }, "the schema of %s changed meanwhile", job.source.name)
    end
    fence.hold(job.state, tx, job.source_index, job.keyspace)
    take_keys(job, tx, job.source, SEND, job.target)
    check_rows(job, tx)
    references.check_source(job, tx)
    job.version = inspect.version(tx)
  end)
end

-- Others may take the move for dead when it says nothing for as long as its lease.
local function keep_alive(job)
  local now = core.now()
  if now - job.renewed < moves.lease * 250 then return end
  job.renewed = now
  if not moves.renew(job.state.directory, job.number) and not job.committed then raise_taken_back(job) end
end

function steps.copy(job)
  local stage <close> = staging.new(job)
  local more
  repeat
    keep_alive(job)
    fence.transaction(job.target, function(tx)
      check_open(job, tx, "receiving")
      more = stage:chunk(tx)
      if more then return end
      references.check_target(job, tx, function(inner)
        inner:run("UPDATE _collegedb_open SET state = 'active' WHERE move = ?", { job.number })
      end)
    end)
  until not more
  job.rows = stage.rows
end

-- No fence stands before a table that was made since the source was fenced; it may have rows of the keys.
local function check_tables(job, tx)
  if inspect.version(tx) == job.version then return end
  job.state:refresh_catalog()
  local known = {}
  for _, part in ipairs(job.parts) do known[part.name] = true end
  for _, part in ipairs(group.parts(job.state.catalog, job.source_index, job.keyspace)) do
    if not known[part.name] then
      errors.raise("CONFLICT", { shard = job.source.name, table = part.name }, "the table %s was made on %s meanwhile",
        part.name, job.source.name)
    end
  end
end

-- After this there is no way back.
function steps.commit(job)
  fence.step(job.source, function(tx)
    check_open(job, tx, "sending")
    check_tables(job, tx)
    local changed = tx:run("UPDATE _collegedb_own SET state = 'sent', floor = ?1 WHERE move = ?1 AND state = 'sending'",
      { job.number }).meta.changes
    if changed ~= #job.keys then raise_taken_back(job) end
    tx:run("UPDATE _collegedb_open SET state = 'sent' WHERE move = ?", { job.number })
  end)
end

function steps.activate(job) recovery.activate(job.target, job.number) end

function steps.publish(job)
  job.state.directory:publish(job.full, job.keys, job.target.id, job.number, job.digests, job.home)
end

-- The rows are on both shards here, so that it can be told what refers to them from where.
function steps.clean(job)
  job.dangling = references.count(job)
  recovery.clean(job.source, job.target, job.number, true)
end

function steps.close(job) moves.close(job.state.directory, job.number) end

-- After an error. A commit that was interrupted may have been made all the same; then the move can only be finished.
local function clear_up(job, err)
  if not job.number or (job.committed and not errors.is_interrupt(err)) then return end
  local done, undone = pcall(recovery.undo, job.source, job.target, job.number)
  if done and not undone then done = pcall(recovery.finish, job.state, job.source, job.target, job.number) end
  if done then pcall(steps.close, job)
  else pcall(moves.give_up, job.state.directory, job.number) end
end

--- In their order.
move.steps = { "journal", "receive", "send", "copy", "commit", "activate", "publish", "clean", "close" }

local function run_step(job, name, on_step)
  steps[name](job)
  job.committed = job.committed or name == "commit"
  keep_alive(job)
  if on_step then on_step(name, job.number) end
end

local FROZEN <const> = { send = true, copy = true, commit = true, activate = true } -- writers wait

local function run_steps(job, on_step)
  local at = 1
  local function run_while(frozen)
    while move.steps[at] and (FROZEN[move.steps[at]] or false) == frozen do
      run_step(job, move.steps[at], on_step)
      at = at + 1
    end
  end
  run_while(false)
  do
    local _ <close> = fence.without_checkpoints(job.source)
    local _ <close> = fence.without_checkpoints(job.target)
    run_while(true)
  end
  run_while(false)
end

--- Moves the groups of some keys from one shard to another.
---@param state table of lua/collegedb/instance.lua
---@param plan { keyspace: string, tag: string?, keys: string[], source: integer, target: integer, home: boolean?,
--- on_step: function? } home: the target is their home, so that they need no entry
---@return table report { rows, keys, number, dangling? }; dangling: lua/collegedb/references.lua
function move.run(state, plan)
  local job = { state = state, keyspace = plan.keyspace, full = catalog.tag(plan.tag, plan.keyspace), keys = plan.keys,
    rows = 0, home = plan.home,
    source_index = plan.source, target_index = plan.target,
    source = state.shards[plan.source], target = state.shards[plan.target] }
  prepare(job)
  local done, err = pcall(run_steps, job, plan.on_step)
  if not done then
    clear_up(job, err)
    error(err, 0)
  end
  return { rows = job.rows, keys = #job.keys, number = job.number, dangling = job.dangling }
end

return move
