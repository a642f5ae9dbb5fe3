--- Mappings for keys that are known from elsewhere, made by a strategy: collegedb.create_mappings_for_existing_keys.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local loader = require "collegedb.loader"
local mapping = require "collegedb.mapper"

local existing_mappings = {}

local SCRIPT_LIMIT = 100000000 -- as in the config's defaults

local function usage(...) errors.raise("USAGE", nil, ...) end

local function load_strategy(given, db)
  if type(given) == "function" then return { select = given } end
  if type(given) == "table" and type(given.select) == "function" then return given end
  if type(given) == "table" and given.write then return load_strategy(given.write, db) end
  local settings = db and core.state(db).config or { script_dirs = {}, script_limit = SCRIPT_LIMIT }
  local found = type(given) == "string" and loader.load(settings, "strategies", (given:gsub("%-", "_")), "hash")
  if type(found) == "table" and type(found.select) == "function" then return found end
  usage("strategy takes a strategy's name, a function (key, shards, ctx) or a table with select, not %s",
    tostring(given))
end

local function check_shards(shards, db)
  if type(shards) ~= "table" or #shards == 0 then usage "shards takes an array of at least one shard's name" end
  for _, name in ipairs(shards) do
    if type(name) ~= "string" or name == "" then
      usage("a shard's name is a non-empty string, not %s", name == "" and "''" or "a " .. type(name))
    end
    if db then db:shard(name) end
  end
end

-- The shards as a strategy sees them: a fresh array each time, `keys` as of the start and what was added since.
local function views_of(shards, counts, db)
  local views = {}
  for i, name in ipairs(shards) do
    local known = db and core.state(db).shards[core.state(db).by_name[name]] or { weight = 1 }
    views[i] = setmetatable({
      name = name, weight = known.weight, region = known.region, priority = known.priority, keys = counts[name] or 0,
    }, { __index = function(_, field) return field == "size" and db and db:shard(name):size() or nil end })
  end
  return views
end

local function selector(shards, strategy, mapper, db, dir)
  local script, counts, allowed = load_strategy(strategy or "hash", db), mapper:get_shard_key_counts(), {}
  for _, name in ipairs(shards) do allowed[name] = true end
  local ctx = {
    operation = "write", hash = core.hash, random = math.random,
    target_region = db and core.state(db).config.target_region or nil,
    turn = function(name) return dir:count_on(name or "default", 1) end,
  }
  local what = "strategy " .. (script.name or "of the call")
  return function(key)
    local space, text = core.key_parts(key)
    local value = key
    if space then value = catalog.key_value(select(2, catalog.untag(space)), text) end
    local answer = loader.call(what, SCRIPT_LIMIT, script.select, value, views_of(shards, counts, db), ctx)
    if answer == nil or not allowed[answer] then
      local shown = type(answer) == "string" and ("%q"):format(answer) or "a " .. type(answer)
      errors.raise("SCRIPT", { key = value },
        "%s returned %s for the key %s; it must return the name of one of the shards it was given", what, shown,
        tostring(key))
    end
    counts[answer] = (counts[answer] or 0) + 1
    return answer
  end
end

--- Maps the keys that are not mapped yet, each to the shard that the strategy says,
-- in one transaction. It moves no rows.
---@param keys (string|userdata)[] as of discover_existing_primary_keys
---@param shards string[] names
---@param strategy string|function|table|nil "hash" if nil
---@param mapper collegedb.Mapper
---@return integer count of mappings made
function existing_mappings.create(keys, shards, strategy, mapper)
  local db, dir = mapping.inside(mapper)
  if type(keys) ~= "table" then usage("keys takes an array of keys, not a %s", type(keys)) end
  check_shards(shards, db)
  local select_for, list = nil, {}
  for i, key in ipairs(keys) do
    if not mapper:get_shard_mapping(key) then
      select_for = select_for or selector(shards, strategy, mapper, db, dir)
      list[#list + 1] = { keys[i], select_for(key) }
    end
  end
  if not select_for then load_strategy(strategy or "hash", db) end
  return mapping.add_new(mapper, list)
end

return existing_mappings
