--- Giving shards their tables.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local far_schema = require "collegedb.far_schema"
local fence = require "collegedb.fence"
local fence_upkeep = require "collegedb.fence_upkeep"
local inspect = require "collegedb.inspect"
local patience = require "collegedb.patience"
local recovery = require "collegedb.recovery"
local single_schema = require "collegedb.single_schema"

local schema = {}

local PATIENCE <const> = 10 -- seconds

local function check_sql(sql)
  if type(sql) ~= "string" or not sql:find "%S" then
    errors.raise("USAGE", nil, "the schema is SQL text, not %s", type(sql) == "string" and "''" or type(sql))
  end
end

-- Runs `f(tx)` in a transaction; and again with the fence taken down in it, if that was in the way.
---@param finish fun(tx: userdata)? puts it up again
local function transact(shard, f, finish)
  local function run(lower)
    shard.handle:transaction(function(tx)
      if lower then fence.lower(tx) end
      f(tx)
      if finish then finish(tx) end
    end)
  end
  local done, err = pcall(run, false)
  if done then return end
  if not finish or not fence.is_in_the_way(err) then error(err, 0) end
  run(true)
end

--- Runs a script on one shard, all of it or nothing, where that can be.
---@param finish fun(tx: userdata?)? is called before the commit, and puts fences up again
---@param mend fun()? of a shard without transactions
function schema.apply(shard, sql, finish, mend)
  check_sql(sql)
  if shard.single then
    single_schema.apply(shard, sql, false, mend)
    return finish and finish()
  end
  transact(shard, function(tx) tx:exec(sql) end, finish)
end

-- Where keys have left a shard, or come, new tables get behind its fence together with the others. One that can not
-- be fenced stays outside.
local function fence_tables(state, index)
  return function(tx)
    if not tx then return single_schema.fence_tables(state, index) end
    if not fence.is_up(tx) then return end
    state:refresh_catalog()
    for _, row in ipairs(tx:all "SELECT keyspace FROM _collegedb_fence") do
      local done, err = pcall(fence.hold, state, tx, index, row.keyspace)
      if not done and not errors.is_error(err, "UNSUPPORTED") then error(err, 0) end
    end
  end
end

-- A script again, on a shard that may have some of it: what is there already is
-- passed over, whether a crash came before the mark or the file brought it along.
local function apply_missing(shard, sql, finish, mend)
  if shard.single then
    single_schema.apply(shard, sql, true, mend)
    return finish and finish()
  end
  transact(shard, function(tx)
    local rest = sql
    while rest:find "%S" do
      local statement = core.scan(rest)
      local applied, err = pcall(tx.exec, tx, rest:sub(1, statement.finish))
      local there = single_schema.is_there(err)
      if not applied and not there then
        if errors.is_error(err) then
          err.message = ("%s (schema of other shards, on %s)"):format(err.message, shard.name)
        end
        error(err, 0)
      end
      rest = rest:sub(statement.finish + 1)
    end
  end, finish)
end

-- Returns the schema's id, and whether it was remembered before.
local function remember(dir, sql)
  local id, known
  dir:change(function(tx)
    known = tx:run("INSERT INTO _collegedb_schema (sql) VALUES (?) ON CONFLICT DO NOTHING", { sql }).meta.changes == 0
    id = tx:first("SELECT id FROM _collegedb_schema WHERE sql = ?", { sql }).id
    return false
  end)
  return id, known
end

local function forget(dir, id)
  dir:change(function(tx)
    tx:run("DELETE FROM _collegedb_schema WHERE id = ?", { id })
    return false
  end)
end

-- The shards have the schema `id`, and all before it: only then, so that one they missed is not forgotten.
local function mark(dir, shards, id)
  dir:change(function(tx)
    for _, shard in ipairs(shards) do
      tx:run([[UPDATE _collegedb_shards SET schema = ?1 WHERE id = ?2
        AND schema = (SELECT coalesce(max(id), 0) FROM _collegedb_schema WHERE id < ?1)]], { id, shard.id })
    end
    return false
  end)
end

-- Tables first, then what refers to them.
local READ = [[SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL
  AND substr(name, 1, 7) <> 'sqlite_' AND substr(name, 1, 11) <> '_collegedb_'%s
  ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, rowid]]

--- The SQL that makes the tables of a shard, or nil if it has none.
function schema.read(shard)
  shard = far_schema.of(shard)
  local parts, shadow = {}, {}
  for _, each in ipairs(inspect.list(shard)) do shadow[each.name] = each.kind == "shadow" end
  for row in shard:each(READ:format(inspect.without_d1s(shard, "name"))) do
    -- Shadow tables come with their virtual table.
    if not shadow[row.name] then parts[#parts + 1] = row.sql end
  end
  return #parts > 0 and table.concat(parts, ";\n") .. ";" or nil
end

--- Gives `target` the schema of the first of `shards` that has one.
function schema.copy(shards, target)
  for _, shard in ipairs(shards) do
    local sql = shard ~= target and schema.read(shard.inner)
    if sql then return schema.apply(target, sql) end
  end
  errors.raise("USAGE", { shard = target.name }, "no other shard has tables to copy: give create_schema the SQL")
end

local function mend_fences(state, index)
  return function()
    state:refresh_catalog(true)
    fence_upkeep.run(state, index)
  end
end

-- What a dead mover has left would keep keys on their way. That others hold what its end needs is no failure.
local function end_moves(state)
  if not state.directory.keeps_journal then return true end
  local done, err = pcall(recovery.run, state)
  return done or errors.is_error(err, "BUSY"), err
end

-- Again while keys of the tables are on their way, which are as they were until they have arrived.
local function apply_at_rest(f, state, index, sql)
  local waiting = patience.new(PATIENCE)
  while true do
    local applied, err = pcall(f, state.shards[index], sql, fence_tables(state, index), mend_fences(state, index))
    if applied or not errors.is_error(err, "CONFLICT") or not waiting:wait() then return applied, err end
    local ended, why = end_moves(state)
    if not ended then return false, why end
  end
end

--- Gives `target` what `source` has and it lacks. False if that has no tables.
function schema.add_missing(source, target)
  local sql = schema.read(source.inner)
  if sql then apply_missing(target, sql) end
  return sql ~= nil
end

local function explain(err, shard, done)
  if not errors.is_error(err) then return end
  err.shard, err.applied = err.shard or shard.name, done
  if err.message:find "already exists" then
    err.message = err.message .. "; write CREATE TABLE IF NOT EXISTS, so that it can be run again"
  end
  if #done > 0 then err.message = ("%s (done before on %s)"):format(err.message, table.concat(done, ", ")) end
end

--- Runs a script on every shard and remembers it for shards that come later. It
-- is remembered first: what a crash leaves undone is done at the next open, or
-- when the same script is ensured again, which passes over what is there.
function schema.ensure(state, sql)
  check_sql(sql)
  local id, known = remember(state.directory, sql)
  local done = {}
  for index, shard in ipairs(state.shards) do
    local applied, err = apply_at_rest(known and apply_missing or schema.apply, state, index, sql)
    if not applied then
      if not known then forget(state.directory, id) end
      explain(err, shard, done)
      error(err, 0)
    end
    done[#done + 1] = shard.name
  end
  mark(state.directory, state.shards, id)
  schema.welcome(state) -- what another program ensured meanwhile
end

--- Gives each shard the schemas that were ensured before it came, or while it was away.
function schema.welcome(state)
  local missing = {}
  state.directory:hold(function()
    for index, shard in ipairs(state.shards) do
      missing[index] = state.directory.shard:all([[SELECT id, sql FROM _collegedb_schema WHERE id >
        (SELECT schema FROM _collegedb_shards WHERE id = ?) ORDER BY id]], { shard.id })
    end
  end)
  for index, shard in ipairs(state.shards) do
    for _, row in ipairs(missing[index]) do
      local applied, err = apply_at_rest(apply_missing, state, index, row.sql)
      if not applied then error(err, 0) end
      mark(state.directory, { shard }, row.id)
    end
  end
end

return schema
