--- Giving a new key a place by the configured strategy, and claiming it in the
-- directory: of two processes that claim one key, both use the winner's shard.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local loader = require "collegedb.loader"
local outer_turns = require "collegedb.outer_turns"
local stats = require "collegedb.stats"

local allocate = {}

local STALE_AFTER = 10 -- seconds that counts and sizes shown to strategies may be old

-- Keys and bytes of a shard, at most STALE_AFTER old.
local function facts(state, index)
  local known = state.shard_facts[index]
  if not known or os.time() - known.at > STALE_AFTER then
    known = { at = os.time(), size = state.shards[index].handle:size() }
    state.shard_facts[index] = known
  end
  return known
end

local function keys_of(state, index)
  local known = facts(state, index)
  known.keys = known.keys or stats.keys(state, index, state.shards[index].inner)
  return known.keys
end

-- A shard as a strategy sees it: `keys` and `size` are read when asked for.
local function view(state, index)
  local shard = state.shards[index]
  local fields = { name = shard.name, region = shard.region, priority = shard.priority, weight = shard.weight }
  return setmetatable(fields, {
    __index = function(_, field)
      if field == "keys" then return keys_of(state, index) end
      if field == "size" then return facts(state, index).size end
    end,
  })
end

--- Has the shard reached its max_size? Sizes are at most 10 s old, so it may be passed by what comes in that time.
function allocate.is_full(state, index)
  local limit = state.shards[index].max_size
  return limit ~= nil and facts(state, index).size >= limit
end

-- Not tostring for everything: a table's own __tostring could raise.
local function describe(answer)
  local kind = type(answer)
  if kind == "string" then return ("%q"):format(answer) end
  if kind == "nil" or kind == "number" or kind == "boolean" then return tostring(answer) end
  return "a " .. kind
end

local function raise_full(text, count)
  errors.raise("FULL", { key = text }, "all %d shards that are open for new keys have reached their max_size", count)
end

-- May a new key like this one be placed on the shard?
local function is_open(state, index, key)
  local shard, any = state.shards[index], key.keyspace == "" and not key.tag
  return shard.allocate and not state.epoch.drained[index] and (any or shard.keyspace == key.tag)
end

-- An array of views, and how many more would be open if they were not full.
local function open_shards(state, key, operation)
  local views, full = {}, 0
  for index in ipairs(state.shards) do
    if is_open(state, index, key) then
      if operation == "write" and allocate.is_full(state, index) then full = full + 1
      else views[#views + 1] = view(state, index) end
    end
  end
  return views, full
end

-- The name of ctx.turn's argument.
local function check_turn(name)
  if name == nil then return "default" end
  if type(name) ~= "string" then
    errors.raise("USAGE", nil, "ctx.turn takes a name, a string, not a %s", type(name))
  end
  return name
end

local function context(state, key, operation, turn)
  return {
    operation = operation,
    table = key.table,
    target_region = state.config.target_region,
    hash = core.hash,
    random = math.random,
    turn = turn,
  }
end

-- The shards that a new key may go to, of which there is at least one.
local function choices(state, key, operation)
  local views, full = open_shards(state, key, operation)
  if #views == 0 and full > 0 then raise_full(key.text, full) end
  if #views == 0 then
    errors.raise("NO_SHARDS", { key = key.text }, "no shard is open for new keys of this keyspace")
  end
  return views
end

-- Asks the strategy for a shard; `turn` is its ctx.turn.
local function select_shard(state, key, operation, turn)
  local strategy = state.strategy[operation]
  local name = strategy.name or "of the config"
  local views = choices(state, key, operation)
  local value = catalog.key_value(key.keyspace, key.text)
  local answer = loader.call("strategy " .. name, state.config.script_limit, strategy.select, value, views,
    context(state, key, operation, turn))
  local index = type(answer) == "string" and state.by_name[answer]
  if not index or not is_open(state, index, key) then
    errors.raise("SCRIPT", { key = value },
      "strategy %s returned %s for the key %s; it must return the name of one of the shards it was given", name,
      describe(answer), key.text)
  end
  return index
end

--- Where a key that is nowhere would go. Spends no turn, and writes nothing.
---@param key { tag: string?, keyspace: string, text: string, table: string? }
---@return integer index
function allocate.select(state, key)
  return select_shard(state, key, "read", function(name)
    local outer = state.config.coordinator
    if outer then return outer_turns.peek(outer, check_turn(name)) end
    return state.directory:count_on(check_turn(name), 0)
  end)
end

--- Where the strategy would place a key, by turns of the caller's.
---@param turn fun(name: string?): integer ctx.turn
---@param operation ("read"|"write")? "write" if nil
---@return integer index
function allocate.choose(state, key, turn, operation) return select_shard(state, key, operation or "write", turn) end

--- Where a new key goes whose home is full: to the next home that is not.
---@return integer index
function allocate.next_home(state, nodes, full, text)
  local open = {}
  for _, node in ipairs(nodes) do
    if node.index and not allocate.is_full(state, node.index) then open[#open + 1] = node end
  end
  if #open == 0 then raise_full(text, #nodes) end
  return open[core.placement(open):place(full, text)].index
end

-- The index of the shard that won the claim; nil without one.
local function winner_index(state, id, text)
  if not id then return nil end
  return state.epoch.index_of[id]
    or errors.raise("SHARD_NOT_FOUND", { key = text }, "the key lives on a shard that the config does not have")
end

--- Claims the key for a shard. Returns the winner's index, or nil when the
-- epoch changed meanwhile and the caller must decide again.
function allocate.claim(state, full, text, shard)
  return winner_index(state, state.directory:claim(full, text, shard.id, state.epoch.number), text)
end

-- The turn by which shards simply follow one another, if that is the strategy, and the directory can do it by itself.
local function rotating(state)
  local strategy = state.strategy.write
  local rotates = strategy.rotates
  if not (state.directory.rotate and rotates) or state.config.coordinator then return nil end
  return rotates.select == strategy.select and rotates.turn
end

local function give_next(state, full, key, turn)
  local ids = {}
  for i, shard in ipairs(choices(state, key, "write")) do ids[i] = state.shards[state.by_name[shard.name]].id end
  return winner_index(state, state.directory:rotate(turn, full, key.text, ids, state.epoch.number), key.text)
end

--- Claims a new key for the shard that the strategy says. Returns the winner's
-- index, or nil when the caller must decide again: the epoch changed meanwhile, or
-- another process was first. The turns that the strategy took are then not spent.
---@param key { tag: string?, keyspace: string, text: string, table: string? }
---@return integer? index
function allocate.give(state, full, key)
  local turn = rotating(state)
  if turn then return give_next(state, full, key, turn) end
  local epoch = state.epoch.number
  local outer = state.config.coordinator
  local turns <close> = outer and outer_turns.new(outer, state.directory) or state.directory:turns()
  local index = select_shard(state, key, "write", function(name) return turns:take(check_turn(name)) end)
  return winner_index(state, turns:claim(full, key.text, state.shards[index].id, epoch), key.text)
end

return allocate
