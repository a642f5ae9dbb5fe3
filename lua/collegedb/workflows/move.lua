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

local move = { name = "move", api = 1 }

local LEASE <const> = 60 -- seconds after which others may take a move for dead

local KEYS <const> = "SELECT key FROM _collegedb_own WHERE move = %d"

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

local function prepare(job)
  local state = job.state
  if not state.directory.keeps_journal then
    errors.raise("UNSUPPORTED", nil, "keys can not be moved while the directory is in %s: a move needs a directory "
      .. "with transactions", state.directory.path)
  end
  state:refresh_catalog()
  job.parts = group.parts(state.catalog, job.source_index, job.keyspace)
  job.target_parts = group.parts(state.catalog, job.target_index, job.keyspace)
  group.read_storage(job.source.inner, job.parts)
  group.read_storage(job.target.inner, job.target_parts)
  check_target(job)
  job.enforced = fence.enforces_keys(job.source) or fence.enforces_keys(job.target)
  check_triggers(job.source, job.parts)
  check_triggers(job.target, job.target_parts)
end

-- --- the steps -----------------------------------------------------------------------

local function fail_conflict(job, shard, key, what)
  errors.raise("CONFLICT", { key = key, shard = shard.name }, "the key %s can not go from %s to %s: %s", key,
    job.source.name, job.target.name, what)
end

-- Whichever key of the move has a row of its group here already.
local function find_present(tx, parts, number)
  for _, part in ipairs(parts) do
    local row = tx:first(("SELECT %s AS key FROM %s AS t WHERE %s LIMIT 1"):format(group.key_sql(part, "t"),
      quote.name(part.name), group.rows_sql(part, KEYS:format(number))))
    if row then return row.key, part.name end
  end
end

-- Where the key had gone from here is kept, in case that this move is undone.
local RECEIVE = [[INSERT INTO _collegedb_own VALUES (?1, ?2, 'receiving', ?3, 0, ?4, NULL, ?5) ON CONFLICT
  DO UPDATE SET state = 'receiving', move = ?3, before = peer, peer = ?4, at = ?5 WHERE state = 'tomb' AND floor < ?3]]
local SEND = [[INSERT INTO _collegedb_own VALUES (?1, ?2, 'sending', ?3, 0, ?4, NULL, ?5) ON CONFLICT
  DO UPDATE SET state = 'sending', move = ?3, peer = ?4, at = ?5 WHERE state = 'active' AND floor < ?3]]

local function take_keys(job, tx, shard, sql, peer)
  for _, key in ipairs(job.keys) do
    if tx:run(sql, { job.keyspace, key, job.number, peer.name, os.time() }).meta.changes ~= 1 then
      local own = fence.own_row(tx, job.keyspace, key)
      fail_conflict(job, shard, key, ("%s has it as %s"):format(shard.name, own and own.state or "?"))
    end
  end
end

-- Where this process has raised it, and no schema has changed since, it stands.
local function raise_fence(job, tx, index, parts)
  local raised = job.state.fences
  local id = index .. ":" .. job.keyspace
  if raised[id] == inspect.version(tx) then return end
  fence.raise_up(tx, job.keyspace, parts)
  raised[id] = inspect.version(tx)
end

local UNDO = {}

-- Would the change break a foreign key that is enforced? Tried, looked at, and taken back.
local function check_keys(job, tx, shard, change)
  if not job.enforced then return end
  local function count() return #tx:all "PRAGMA foreign_key_check" end
  local before, after = count(), nil
  local done, err = pcall(tx.transaction, tx, function(inner)
    change(inner)
    after = #inner:all "PRAGMA foreign_key_check"
    error(UNDO, 0)
  end)
  if not done and err ~= UNDO then error(err, 0) end
  if after > before then
    errors.raise("CONSTRAINT", { shard = shard.name }, "the key %s can not go from %s to %s: %d foreign keys would "
      .. "point to rows on another shard, and PRAGMA foreign_keys is on", job.keys[1], job.source.name,
      job.target.name, after - before)
  end
end

local steps = {}

function steps.journal(job)
  job.number = moves.begin(job.state.directory, job, LEASE)
end

function steps.receive(job)
  job.target.handle:transaction(function(tx)
    raise_fence(job, tx, job.target_index, job.target_parts)
    take_keys(job, tx, job.target, RECEIVE, job.source)
    local key, name = find_present(tx, job.target_parts, job.number)
    if key then fail_conflict(job, job.target, key, ("%s has rows of it in %s"):format(job.target.name, name)) end
  end)
end

function steps.send(job)
  fence.transaction(job.source, function(tx)
    if inspect.version(tx) ~= job.state.catalog.versions[job.source_index] then
      errors.raise("CONFLICT", { shard = job.source.name }, "the schema of %s changed meanwhile", job.source.name)
    end
    raise_fence(job, tx, job.source_index, job.parts)
    take_keys(job, tx, job.source, SEND, job.target)
    check_keys(job, tx, job.source, function(inner)
      inner:run("UPDATE _collegedb_own SET state = 'sent' WHERE move = ?", { job.number })
      inner:run("UPDATE _collegedb_own SET state = 'tomb' WHERE move = ?", { job.number })
    end)
  end)
end

local function raise_taken_back(job)
  errors.raise("MOVED", { shard = job.source.name }, "move %d was taken back by a recovery meanwhile", job.number)
end

local function copy_part(job, tx, part)
  local marks = {}
  for i = 1, #part.columns do marks[i] = "?" .. i + 1 end
  local list = fence.column_list(part)
  local rows = group.rows_sql(part, KEYS:format(job.number))
  local read = ("SELECT %s, %s FROM %s AS t WHERE %s"):format(group.key_sql(part, "t"), list, quote.name(part.name),
    rows)
  local write = ("INSERT INTO %s (_collegedb_key, %s) VALUES (?1, %s)"):format(fence.stage_name(part), list,
    table.concat(marks, ", "))
  return core.copy_rows(job.source.inner, read, tx, write)
end

-- The stage as it can be read back, in the order in which it was filled.
local function read_stage(job, tx, part)
  return core.copy_rows(tx, ("SELECT _collegedb_key, %s FROM %s WHERE _collegedb_key IN (%s) ORDER BY rowid"):format(
    fence.column_list(part), fence.stage_name(part), KEYS:format(job.number)))
end

local function check_clashes(job, tx, part)
  for _, set in ipairs(part.unique) do
    local row = tx:first(("SELECT s._collegedb_key AS key FROM %s AS s JOIN %s AS t ON %s LIMIT 1"):format(
      fence.stage_name(part), quote.name(part.name), fence.equal_sql(set, "t", "s")))
    if row then
      local names = {}
      for i, column in ipairs(set) do names[i] = column.name end
      fail_conflict(job, job.target, row.key, ("a row of %s on %s has the same %s"):format(part.name, job.target.name,
        table.concat(names, ", ")))
    end
  end
end

-- Inside the transaction that fills the stage: from its commit on, the fence keeps for the staged rows what must be
-- unique.
function steps.copy(job)
  fence.transaction(job.target, function(tx)
    local row = tx:first("SELECT count(*) AS n FROM _collegedb_own WHERE move = ? AND state = 'receiving'",
      { job.number })
    if row.n ~= #job.keys then raise_taken_back(job) end
    for i, part in ipairs(job.parts) do
      local rows, digest = copy_part(job, tx, part)
      local staged, staged_digest = read_stage(job, tx, part)
      if rows ~= staged or digest ~= staged_digest then
        errors.raise("INTERNAL", { table = part.name, shard = job.target.name },
          "%d rows of %s were staged on %s, and %d are there, or they differ", rows, part.name, job.target.name, staged)
      end
      check_clashes(job, tx, job.target_parts[i])
      job.rows = job.rows + rows
    end
    check_keys(job, tx, job.target, function(inner)
      inner:run("UPDATE _collegedb_own SET state = 'active' WHERE move = ?", { job.number })
    end)
  end)
end

local function set_state(job, tx, from, to)
  local changed = tx:run(([[UPDATE _collegedb_own SET state = ?1, floor = ?2 WHERE move = ?2 AND state = ?3]]),
    { to, job.number, from }).meta.changes
  if changed == #job.keys then return end
  raise_taken_back(job)
end

-- After this there is no way back.
function steps.commit(job)
  job.source.handle:transaction(function(tx) set_state(job, tx, "sending", "sent") end)
end

function steps.activate(job) recovery.activate(job.target, job.number) end

function steps.publish(job)
  job.state.directory:publish(job.full, job.keys, job.target.id, job.number, job.home)
end

function steps.clean(job) recovery.clean(job.source, job.target, job.number) end

function steps.close(job) moves.close(job.state.directory, job.number) end

move.steps = { "journal", "receive", "send", "copy", "commit", "activate", "publish", "clean", "close" }

--- Moves the groups of some keys from one shard to another.
---@param state table of lua/collegedb/instance.lua
---@param plan { keyspace: string, tag: string?, keys: string[], source: integer, target: integer, home: boolean?,
--- on_step: function? } home: the target is their home, so that they need no entry
---@return table report { rows, keys, number }
function move.run(state, plan)
  local job = { state = state, keyspace = plan.keyspace, full = catalog.tag(plan.tag, plan.keyspace), keys = plan.keys,
    rows = 0, home = plan.home,
    source_index = plan.source, target_index = plan.target,
    source = state.shards[plan.source], target = state.shards[plan.target] }
  prepare(job)
  local committed = false
  for _, name in ipairs(move.steps) do
    local done, err = pcall(steps[name], job)
    if not done then
      if not committed and job.number then pcall(recovery.undo, job.source, job.target, job.number) end
      if not committed and job.number then pcall(steps.close, job) end
      error(err, 0)
    end
    committed = committed or name == "commit"
    if plan.on_step then plan.on_step(name, job.number) end
  end
  return { rows = job.rows, keys = #job.keys, number = job.number }
end

return move
