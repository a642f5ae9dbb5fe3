--- Moving groups from one shard to another while programs run. Each step is one transaction in one database; what
-- a crash leaves behind, recover.lua finishes or undoes. The order of the steps is the protocol: docs/moving.md.

local catalog = require "collegedb.catalog"
local checks = require "collegedb.move_checks"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local fence_upkeep = require "collegedb.fence_upkeep"
local moves = require "collegedb.moves"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"
local patience = require "collegedb.patience"
local recovery = require "collegedb.recovery"
local references = require "collegedb.references"
local seals = require "collegedb.seals"
local single_fence = require "collegedb.single_fence"
local single_staging = require "collegedb.single_staging"
local single_steps = require "collegedb.single_steps"
local staging = require "collegedb.staging"

local move = { name = "move", api = 1 }

-- --- what can be moved ---------------------------------------------------------------

-- The parts of a keyspace's groups on a shard, with their storage, and the foreign keys to and from others, as long as
-- the catalog is this one.
local function parts_of(state, index, keyspace)
  local known, id = state.catalog, index .. ":" .. keyspace
  known.stored = known.stored or {}
  if not known.stored[id] then
    local parts, shard = group.parts(known, index, keyspace), state.shards[index]
    group.read_storage(shard.inner, parts)
    checks.check_triggers(shard, parts)
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
  for _, index in ipairs { job.source_index, job.target_index } do fence_upkeep.run(state, index) end
  state:refresh_catalog()
  for _, index in ipairs { job.source_index, job.target_index } do
    if state.shards[index].single then job.standing[index] = single_fence.hold(state, index, job.keyspace) end
  end
  job.parts, job.references = parts_of(state, job.source_index, job.keyspace)
  job.target_parts, job.target_references = parts_of(state, job.target_index, job.keyspace)
  job.matched = checks.match_target(job)
  job.enforced = fence.enforces_keys(job.source) or fence.enforces_keys(job.target)
  job.digests = state.directory:digests(job.full, job.keys)
end

-- --- the steps -----------------------------------------------------------------------

local TAKE <const> = "INSERT INTO _collegedb_own VALUES (?2, ?1, '%s', ?3, 0, ?4, NULL, ?5) %s"

local function take_keys(job, tx, shard, state, peer)
  local sql = TAKE:format(state, fence.TAKING[state])
  local _, refused = core.run_each(tx, sql, job.keys, job.keyspace, job.number, peer.name, os.time())
  if refused then
    local key = job.keys[refused]
    checks.fail_held(job, shard, key, fence.own_row(tx, job.keyspace, key))
  end
  tx:run("INSERT INTO _collegedb_open VALUES (?, ?, ?, ?)",
    { job.number, job.keyspace, state, peer.name })
end

local function check_open(job, tx, state)
  local open = fence.is_up(tx) and tx:first("SELECT 1 AS yes FROM _collegedb_open WHERE move = ? AND state = ?",
    { job.number, state })
  if not open then checks.raise_taken_back(job) end
end

local steps = {}

function steps.journal(job)
  job.renewed = core.now()
  job.number = moves.begin(job.state.directory, job)
end

function steps.receive(job)
  if job.target.single then return single_steps.receive(job) end
  fence.step(job.target, function(tx)
    if seals.is_sealed(job.target, tx) then checks.fail_sealed(job.target) end
    fence.hold(job.state, tx, job.target_index, job.keyspace)
    take_keys(job, tx, job.target, "receiving", job.source)
    checks.check_absent(job, tx)
  end)
end

function steps.send(job)
  if job.source.single then return single_steps.send(job) end
  fence.transaction(job.source, function(tx)
    if inspect.version(tx) ~= job.state.catalog.versions[job.source_index] then checks.fail_schema(job.source) end
    fence.hold(job.state, tx, job.source_index, job.keyspace)
    take_keys(job, tx, job.source, "sending", job.target)
    checks.check_rows(job, tx)
    references.check_source(job, tx)
    job.version = inspect.version(tx)
  end)
end

-- Others may take the move for dead when it says nothing for as long as its lease.
local function keep_alive(job)
  local now = core.now()
  if now - job.renewed < moves.lease * 250 then return end
  job.renewed = now
  if not moves.renew(job.state.directory, job.number) and not job.committed then checks.raise_taken_back(job) end
end

function steps.copy(job)
  if job.target.single then return single_staging.copy(job, keep_alive) end
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

-- After this there is no way back.
function steps.commit(job)
  if job.source.single then return single_steps.commit(job) end
  fence.step(job.source, function(tx)
    check_open(job, tx, "sending")
    if inspect.version(tx) ~= job.version then checks.check_tables(job) end
    local changed = tx:run("UPDATE _collegedb_own SET state = 'sent', floor = ?1 WHERE move = ?1 AND state = 'sending'",
      { job.number }).meta.changes
    if changed ~= #job.keys then checks.raise_taken_back(job) end
    tx:run("UPDATE _collegedb_open SET state = 'sent' WHERE move = ?", { job.number })
  end)
end

function steps.activate(job) recovery.bring_in(job.state, job.target, job.number) end

function steps.publish(job)
  job.state.directory:publish(job.full, job.keys, job.target.id, job.number, job.digests, job.home)
end

-- The rows are on both shards here, so that it can be told what refers to them from where.
function steps.clean(job)
  job.dangling = references.count(job)
  local standing = job.standing[job.source_index]
  local known = standing and { keyspace = job.keyspace, schema = standing.schema, references = job.references }
  if not recovery.clean(job.state, job.source, job.target, job.number, true, known) then checks.fail_held_back(job) end
end

function steps.close(job) moves.close(job.state.directory, job.number) end

local PATIENCE <const> = 1 -- seconds that another move of its keys may keep this one from being taken back

-- Takes the move back, or brings it to its end where it was committed all the same. False when that is left to others.
local function take_back(job, in_haste)
  local waiting = patience.new(in_haste and 0 or PATIENCE)
  while true do
    local undone, whole = recovery.undo(job.source, job.target, job.number)
    if not undone then return recovery.finish(job.state, job.source, job.target, job.number) end
    if whole or not waiting:wait() then return whole end
  end
end

-- After an error. A commit that was interrupted may have been made all the same; then the move can only be finished.
local function clear_up(job, err)
  local in_haste = errors.is_interrupt(err)
  if not job.number or (job.committed and not in_haste) then return end
  local done, whole = pcall(take_back, job, in_haste)
  if done and whole then pcall(steps.close, job)
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
    rows = 0, home = plan.home, standing = {},
    source_index = plan.source, target_index = plan.target,
    source = state.shards[plan.source], target = state.shards[plan.target] }
  prepare(job)
  local done, err = pcall(run_steps, job, plan.on_step)
  if not done then clear_up(job, err) end
  moves.let_go(state.directory, job.number)
  if not done then error(err, 0) end
  return { rows = job.rows, keys = #job.keys, number = job.number, dangling = job.dangling }
end

return move
