--- db:reassign_shard: moving the whole group of a key to another shard.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local forward = require "collegedb.forward"
local group = require "collegedb.group"
local members = require "collegedb.members"
local move = require "collegedb.workflows.move"
local patience = require "collegedb.patience"
local probe = require "collegedb.probe"
local quote = require "collegedb.quote"
local recovery = require "collegedb.recovery"
local router = require "collegedb.router"

local reassign = {}

local PATIENCE <const> = 10 -- seconds, while the shards change all the time
local LOOKS <const> = 5 -- at a row that moves meanwhile

-- Keyspace and canonical text of a key as users write it; of a string without a table, also as it was given, which is
-- how a row's own key is looked for.
local function parts_of(db, state, key, name)
  if core.key_parts(key) == nil and name == nil and math.type(key) then name = router.describe(state, nil) end
  if name ~= nil and core.key_parts(key) == nil then key = db:key(name, key) end
  local space, text = core.key_parts(key)
  if space then return space, text, text end
  if type(key) == "string" and key ~= "" and #key <= core.key_max then
    local either = state.catalog.either
    if either and key:find "%u" then
      errors.raise("USAGE", { key = key }, "the key %s could be of %s, which compares NOCASE, or of %s: write "
        .. "db:key(table, id)", key, either[1], either[2])
    end
    return "", members.root_text(state, "", key), key
  end
  errors.raise("USAGE", nil, "the key is a %s; a key is a string of 1 to %d bytes, an integer or db:key(…)", type(key),
    core.key_max)
end

-- Where a group's key is by the own rows, after what a dead mover left is ended; and whether they told.
local function follow(state, index, keyspace, text)
  recovery.complete(state, index, keyspace, text)
  recovery.settle(state, index, keyspace, text)
  return forward.follow(state, index, keyspace, text)
end

-- The group of a row that is asked for by its own key. It may have left between the looks at the shards and at the row.
local function find_member(state, tag, keyspace, text)
  for _ = 1, LOOKS do
    local index = members.find(state, tag, keyspace, text)
    if not index then return nil end
    local root_space, key = group.of_row(state, index, keyspace, text)
    if key then return index, root_space, key end
  end
  errors.raise("CONFLICT", { key = text }, "the row %s belongs to no group that could be moved", text)
end

-- Where the group is, and its key. `own` is the key as it was given, `text` as the root of its table has it.
local function find(state, space, text, own)
  state:refresh_catalog()
  local tag, keyspace = catalog.untag(space)
  local _, id = state.directory:lookup(space, text)
  local index = id and state.epoch.index_of[id]
  local group_space, group_text = keyspace, text
  if not index and members.fill(state, keyspace) then
    index, group_space, group_text = find_member(state, tag, keyspace, own)
  elseif index then
    index = follow(state, index, keyspace, text)
  else
    local told
    index, told = follow(state, router.resolve(state, space, text, nil, false), keyspace, text)
    local here = told or probe.has(state, index, tag, keyspace, text)
    if not here then index, told = follow(state, index, keyspace, text) end -- it may have left between the two looks
    if not here and not told then
      index, group_space, group_text = find_member(state, tag, keyspace, own)
    end
  end
  if index then return index, tag, group_space, group_text end
  errors.raise("MAPPING_NOT_FOUND", { key = own }, "the key %s has no rows and no entry: there is nothing to move",
    own)
end

-- What is to go where: as of workflows/move.lua, and the report so far.
local function plan(db, key, name, table_name)
  local state = core.state(db)
  db:shard(name)
  local space, text, own = parts_of(db, state, key, table_name)
  state:read_epoch()
  local source, tag, keyspace, group_text = find(state, space, text, own)
  local target = state.by_name[name]
  local report = { moved = source ~= target, from = state.shards[source].name, to = name, rows = 0 }
  if report.moved and (tag or keyspace ~= "") and state.shards[target].keyspace ~= tag then
    errors.raise("USAGE", { key = key, shard = name }, "the key %s can not go to %s, whose keys have another keyspace",
      group_text, name)
  end
  if report.moved and state.epoch.drained[target] then
    errors.raise("USAGE", { key = key, shard = name }, "shard %s was drained, and takes no keys: db:add_shard opens it "
      .. "again", name)
  end
  return { keyspace = keyspace, tag = tag, keys = { group_text }, source = source, target = target }, report
end

--- What would be moved: the same report, with `dry_run`; nothing is done.
---@return table report { moved, from, to, rows, dry_run }
function reassign.preview(db, key, name, table_name)
  local job, report = plan(db, key, name, table_name)
  local state = core.state(db)
  for _, part in ipairs(report.moved and group.parts(state.catalog, job.source, job.keyspace) or {}) do
    report.rows = report.rows + state.shards[job.source].inner:first(("SELECT count(*) AS n FROM %s WHERE %s"):format(
      quote.name(part.name), group.rows_sql(part, "SELECT ?1 AS key")), { job.keys[1] }).n
  end
  report.dry_run = true
  return report
end

--- Moves all rows of a key's group, whichever shard they are on, to another one, while programs run.
---@param db userdata
---@param key string|integer|userdata
---@param name string the shard
---@param table_name string? whose key it is, for an integer
---@return table report { moved, from, to, rows, dangling? }
function reassign.run(db, key, name, table_name)
  local state = core.state(db)
  local waiting = patience.new(PATIENCE)
  while true do
    local job, report = plan(db, key, name, table_name)
    if not report.moved then return report end
    recovery.settle(state, job.source, job.keyspace, job.keys[1]) -- what dead movers left
    recovery.settle(state, job.target, job.keyspace, job.keys[1])
    recovery.complete(state, job.target, job.keyspace, job.keys[1])
    local moved, done = pcall(move.run, state, job)
    if moved then
      db:flush_cache()
      report.rows, report.dangling = done.rows, done.dangling
      return report
    end
    local again = errors.is_error(done, "MOVED") and state.directory:epoch() ~= state.epoch.number
    if not again or not waiting:wait() then error(done, 0) end
  end
end

return reassign
