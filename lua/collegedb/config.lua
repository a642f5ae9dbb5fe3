--- Checks a configuration and fills in what it leaves out. Every mistake is a
-- CONFIG error that names the field and what it takes.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local config = {}

local ShardValue = { __name = "collegedb.shard value" }
ShardValue.__index = ShardValue
ShardValue.__tostring = function(value) return "sqlite " .. value.path end

function ShardValue:id() return self.path end

-- As a directory: of a file that takes a statement at a time.
function ShardValue:open(name)
  return core.sqlite(self.path, { name = name, single = self.single, synchronous = "extra" })
end

--- A SQLite file as a shard value; opened by what it is handed to.
---@param path string
function config.sqlite(path)
  if type(path) ~= "string" or path == "" or path:find "\0" then
    errors.raise("USAGE", nil, "collegedb.sqlite takes a file's path, not %s",
      type(path) == "string" and "''" or type(path))
  end
  return setmetatable({ path = path }, ShardValue)
end

local function fail(field, message, ...) errors.raise("CONFIG", { field = field }, "%s " .. message, field, ...) end

local function describe(value)
  if type(value) == "string" then return ("%q"):format(value):sub(1, 60) end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "a " .. type(value)
end

-- Each check takes (field, value) and returns the value as the rest of the code wants it.
local check = {}

local function plain(kind)
  return function(field, value)
    if type(value) ~= kind then fail(field, "takes a %s, not %s", kind, describe(value)) end
    return value
  end
end

check.boolean, check.string, check.table, check["function"] =
  plain "boolean", plain "string", plain "table", plain "function"

local function number(what, least, most, whole)
  return function(field, value)
    local fits = type(value) == "number" and value >= least and value <= most and not (whole and value % 1 ~= 0)
    if not fits then
      fail(field, "takes %s, not %s", what, describe(value))
    end
    return whole and math.tointeger(value) or value
  end
end

check.seconds = number("seconds, a number from 0 to 1,000,000", 0, 1e6)
check.bytes = number("bytes, a whole number from 0 to 2^53", 0, 2 ^ 53, true)
check.slowness = number("seconds, a number from 0.000001 to 1,000,000", 1e-6, 1e6)
check.life = number("seconds, a number of at least 0", 0, math.maxinteger)
check.entries = number("a whole number of at least 1", 1, math.maxinteger, true)
check.integer = number("a whole number", -2 ^ 31, 2 ^ 31, true)

function check.path(field, value)
  if type(value) == "string" and value ~= "" and not value:find "\0" then return value end
  fail(field, "takes a path, not %s", describe(value))
end

function check.weight(field, value)
  if type(value) ~= "number" or not (value > 0 and value <= 1e6) then
    fail(field, "takes a number above 0 and up to 1,000,000, not %s", describe(value))
  end
  return value
end

local function one_of(...)
  local allowed = { ... }
  return function(field, value)
    for _, each in ipairs(allowed) do
      if value == each or (type(value) == "string" and value:lower() == each) then return each end
    end
    local names = {}
    for i, each in ipairs(allowed) do names[i] = describe(each) end
    fail(field, "takes %s, not %s", table.concat(names, " or "), describe(value))
  end
end

check.journal_mode = one_of("wal", "delete", "truncate", "persist", "memory", "off")
check.synchronous = one_of("full", "normal", "off", "extra")
check.auto_migrate = one_of("background", true, false)
check.directory = one_of("sparse", "full")
check.consistency = one_of("cached", "strict")
check.limits = one_of("d1")

function check.name(field, value)
  if type(value) ~= "string" or value == "" or #value > 127 or value:find "%c" then
    fail(field, "takes a name of 1 to 127 bytes without control characters, not %s", describe(value))
  end
  return value
end

function check.strategy(field, value)
  local kind = type(value)
  if kind == "string" and value ~= "" then return (value:gsub("%-", "_")) end
  if kind == "function" or (kind == "table" and type(value.select) == "function") then return value end
  if kind == "table" and value.read ~= nil and value.write ~= nil and field == "strategy" then
    return { read = check.strategy("strategy.read", value.read), write = check.strategy("strategy.write", value.write) }
  end
  fail(field, "takes a strategy's name, a function (key, shards, ctx), a table with select%s, not %s",
    field == "strategy" and ", or { read =, write = }" or "", describe(value))
end

-- D1's location hints; see lua/collegedb/strategies/location.lua.
check.region = one_of("wnam", "enam", "weur", "eeur", "apac", "oc", "me", "af")

function check.locations(field, value)
  if type(value) ~= "table" then
    fail(field, "takes a map from shards to regions, or to { region =, priority = }, not %s", describe(value))
  end
  local out = {}
  for name, given in pairs(value) do
    local entry = ("%s[%s]"):format(field, describe(name))
    if type(given) == "table" then
      out[name] = { region = check.region(entry .. ".region", given.region),
        priority = given.priority and check.integer(entry .. ".priority", given.priority) }
    else
      out[name] = { region = check.region(entry, given) }
    end
  end
  return out
end

function check.rules(field, value)
  local is_table = type(value) == "table" and (value.table == nil or type(value.table) == "function")
  if type(value) == "string" or is_table then return value end
  fail(field, "takes the name of rules or a table of them, not %s", describe(value))
end

function check.strings(field, value)
  if type(value) ~= "table" then fail(field, "takes an array of strings, not %s", describe(value)) end
  for i, each in ipairs(value) do
    if type(each) ~= "string" then fail(("%s[%d]"):format(field, i), "takes a string, not %s", describe(each)) end
  end
  return value
end

local function is_published_kv(value)
  local class = type(value) == "table" and getmetatable(value)
  return class and class.__name == "collegedb.cloudflare_kv" or false
end

function check.publish(field, value)
  if is_published_kv(value) then return value end
  fail(field, "takes collegedb.cloudflare_kv{…} or gateway:kv(binding), not %s", describe(value))
end

local function is_coordinator(value)
  local class = type(value) == "table" and getmetatable(value)
  return class and class.__name == "collegedb.coordinator" or false
end

function check.coordinator(field, value)
  if is_coordinator(value) then return value end
  local turns = type(value) == "table" and type(value.turn) == "function"
  if turns and (value.peek == nil or type(value.peek) == "function") then return value end
  fail(field, "takes gateway:coordinator(), or a table with the function turn(name) and, if it has it, peek(name), "
    .. "not %s", describe(value))
end

local fields = {
  strategy = check.strategy, rules = check.rules, script_dirs = check.strings, script_limit = check.entries,
  auto_migrate = check.auto_migrate, directory = check.directory, mapping_secret = check.string,
  mapping_cache_ttl = check.life, mapping_cache_size = check.entries, check_keys = check.boolean,
  max_database_size = check.bytes, target_region = check.region, shard_locations = check.locations,
  on_event = check["function"], kv = true, shards = true, hash_shard_mappings = check.boolean,
  keyspaces = check.boolean, move_deadline = check.life, forward_retention = check.life,
  consistency = check.consistency, publish = check.publish, coordinator = check.coordinator,
  statistics_dir = check.path, slow_query = check.slowness, slow_query_log = check.path,
}

local defaults = {
  strategy = "hash", rules = "default", script_dirs = {}, script_limit = 100000000, auto_migrate = "background",
  directory = "sparse", mapping_cache_ttl = 30, mapping_cache_size = 1000000, check_keys = false,
  hash_shard_mappings = true, keyspaces = true, move_deadline = 10,
  forward_retention = 86400, consistency = "cached",
}

local shard_fields = {
  name = check.name, region = check.region, max_size = check.bytes, priority = check.integer, weight = check.weight,
  allocate = check.boolean, integrate = check.boolean, external_writers = check.boolean, keyspace = check.name,
  journal_mode = check.journal_mode, synchronous = check.synchronous, busy_timeout = check.seconds,
  mmap_size = check.bytes, cache_size = check.integer, limits = check.limits, [1] = true,
}

local function known(list)
  local names = {}
  for name in pairs(list) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  return table.concat(names, ", ")
end

local function check_fields(given, allowed, prefix)
  local out = {}
  for name, value in pairs(given) do
    local field = prefix .. tostring(name)
    if not allowed[name] then fail(field, "is no field here; known are %s", known(allowed)) end
    if allowed[name] == true then out[name] = value else out[name] = allowed[name](field, value) end
  end
  return out
end

local function is_d1(value)
  local class = type(value) == "table" and getmetatable(value)
  return class and class.__name == "collegedb.d1" or false
end

--- A shard value as { path = … }, { handle = … } or { remote = … }.
---@param field string for the error
---@param value any
function config.shard_value(field, value)
  if type(value) == "string" and value ~= "" and not value:find "\0" then return { path = value } end
  if getmetatable(value) == ShardValue then return { path = value.path, single = value.single } end -- as core.sqlite
  local class = type(value) == "userdata" and getmetatable(value)
  if class and class.__name == "collegedb.shard" then return { handle = value } end
  if is_d1(value) then return { remote = value } end
  fail(field, "takes a path, collegedb.sqlite(path), collegedb.d1{…}, gateway:shard(binding) or db:shard(name), not %s",
    describe(value))
end

local function is_shard_table(value)
  return type(value) == "table" and getmetatable(value) ~= ShardValue and not is_d1(value)
end

local FILE_FIELDS <const> = { "journal_mode", "synchronous", "busy_timeout", "mmap_size", "cache_size", "limits" }

local function normalize_shard(prefix, given, name)
  local shard = check_fields(is_shard_table(given) and given or { given }, shard_fields, prefix)
  if name and shard.name and shard.name ~= name then
    fail(prefix .. "name", "is %q, but the shard stands under the name %q", shard.name, name)
  end
  shard.name = shard.name or name
  if not shard.name then fail(prefix .. "name", "is missing; every shard has a name") end
  if shard[1] == nil then
    fail(prefix .. "[1]", "is missing: a path, collegedb.sqlite(path), collegedb.d1{…}, gateway:shard(binding) or "
      .. "db:shard(name)")
  end
  shard.value = config.shard_value(prefix .. "[1]", shard[1])
  for _, field in ipairs(shard.value.remote and FILE_FIELDS or {}) do
    if shard[field] ~= nil then fail(prefix .. field, "is for a file, not for %s", tostring(shard.value.remote)) end
  end
  shard[1] = nil
  shard.weight = shard.weight or 1
  for _, flag in ipairs { "allocate", "integrate" } do
    if shard[flag] == nil then shard[flag] = true end
  end
  return shard
end

--- A shard table as db:add_shard takes it, checked and filled in.
---@param given table
function config.shard(given)
  if not is_shard_table(given) then
    fail("shard", "takes a table { name = …, path }, not %s", describe(given))
  end
  return normalize_shard("shard.", given)
end

local function normalize_shards(given)
  if not is_shard_table(given) then
    fail("shards", "takes an array of shard tables, or a map from names to shards, not %s", describe(given))
  end
  local shards, order, numbered = {}, {}, true
  for key in pairs(given) do order[#order + 1], numbered = key, numbered and math.type(key) == "integer" end
  local is_array = numbered and #order > 0 and #order == #given
  table.sort(order, function(a, b)
    if is_array then return a < b end
    return tostring(a) < tostring(b)
  end)
  for i, key in ipairs(order) do
    if not is_array and type(key) ~= "string" then
      fail(("shards[%s]"):format(tostring(key)), "has no name: use an array of shard tables, or a map")
    end
    local prefix = is_array and ("shards[%d]."):format(key) or ("shards[%q]."):format(key)
    if is_array and not is_shard_table(given[key]) then
      fail(("shards[%d]"):format(key), "takes a table { name = …, path }, not %s", describe(given[key]))
    end
    shards[i] = normalize_shard(prefix, given[key], not is_array and check.name("shards", key) or nil)
  end
  if #shards == 0 then fail("shards", "is empty: at least one shard is needed") end
  if #shards > 65000 then fail("shards", "has %d shards; at most 65,000 are possible", #shards) end
  return shards
end

local function check_distinct(shards, kv)
  local names, paths = {}, { [config.is_shard_value(kv) and kv:id() or kv] = "kv" }
  for i, shard in ipairs(shards) do
    local field = ("shards[%d]"):format(i)
    if names[shard.name] then fail(field .. ".name", "is %q a second time", shard.name) end
    names[shard.name] = true
    local path = shard.value.path or (shard.value.remote and shard.value.remote:id())
    if path and path ~= ":memory:" then
      if paths[path] then fail(field, "has %s, which %s has already", shard.value.path and "the file " .. path
        or tostring(shard.value.remote), paths[path]) end
      paths[path] = field
    end
  end
end

-- shard_locations is another way to write the shards' region and priority.
local function add_locations(out)
  local names = {}
  for _, shard in ipairs(out.shards) do
    local place = out.shard_locations and out.shard_locations[shard.name] or {}
    shard.region, shard.priority = shard.region or place.region, shard.priority or place.priority
    shard.max_size = shard.max_size or out.max_database_size
    names[shard.name] = true
  end
  for name in pairs(out.shard_locations or {}) do
    if not names[name] then fail("shard_locations", "names %s, and there is no such shard", describe(name)) end
  end
end

--- Is it a shard value that is no path, such as collegedb.d1{…}?
function config.is_shard_value(value)
  return type(value) == "table" and type(value.get) ~= "function" and type(value.open) == "function"
    and type(value.id) == "function"
end

--- Is it a table with the functions of a KV?
function config.is_table_kv(value) return type(value) == "table" and not config.is_shard_value(value) end

-- A handle that another database, or a program, has opened; one of a file would be locked twice.
local function is_single(value)
  local class = type(value) == "userdata" and getmetatable(value)
  return class and class.__name == "collegedb.shard" and core.is_single(value)
end

--- Checks a directory as a config names it: a path, "memory:", a shard value or handle without transactions over
-- several statements, or a table KV, which is told by its function get.
---@param value any
---@return string|table|userdata
function config.kv(value)
  if is_published_kv(value) then
    fail("kv", "can not be Workers KV, which can be a minute old and has no compare-and-set: give kv a directory, and "
      .. "this as publish; or a coordinator beside it")
  end
  if type(value) == "string" and value ~= "" and not value:find "\0" then return value end
  if getmetatable(value) == ShardValue and not value.single then return value.path end
  if config.is_shard_value(value) or is_single(value) then return value end
  local missing = {}
  for _, name in ipairs { "get", "put", "delete", "list" } do
    if type(value) == "table" and type(value[name]) ~= "function" then missing[#missing + 1] = name end
  end
  if type(value) ~= "table" or #missing > 0 then
    fail("kv", "takes the directory's path, \"memory:\", collegedb.d1{…}, gateway:coordinator(), or a table KV "
      .. "with the functions get, put, delete and list, not %s%s", describe(value),
      #missing > 0 and " without " .. table.concat(missing, ", ") or "")
  end
  local cas = value.compare_and_set
  if cas ~= nil and type(cas) ~= "function" then
    fail("kv", "has compare_and_set, which is a function (key, old, new) or left out, not %s", describe(cas))
  end
  return value
end

--- The fields by which the entries in a table KV are named; other directories have no choice.
---@param given table with kv, hash_shard_mappings, keyspaces, mapping_secret
function config.check_naming(given)
  for _, field in ipairs { "hash_shard_mappings", "keyspaces" } do
    local named = field == "keyspaces" or given.publish or config.is_table_kv(given.kv)
    if given[field] == false and not named then
      fail(field, "= false is for a table KV, or with publish; this directory is %s", type(given.kv) == "string"
        and "a file" or "a database")
    end
  end
  if given.hash_shard_mappings == false and given.mapping_secret then
    fail("mapping_secret", "has no use with hash_shard_mappings = false")
  end
end

local function check_keyspaces(out)
  for i, shard in ipairs(out.keyspaces and {} or out.shards) do
    if shard.keyspace then fail(("shards[%d].keyspace"):format(i), "has no use with keyspaces = false") end
  end
end

-- With a coordinator that is the directory, Workers KV as `kv` is where it is published. Beside another directory a
-- coordinator gives the turns.
local function place_directory(out)
  local given = out.coordinator
  if is_published_kv(out.kv) and is_coordinator(given) then
    if out.publish ~= nil then fail("publish", "is given, and kv is Workers KV as well: give it once") end
    out.kv, out.publish, out.coordinator = given, out.kv, nil
  elseif is_coordinator(given) then
    if is_coordinator(out.kv) then fail("coordinator", "is the directory already: kv has the turns") end
    out.coordinator = given:turns()
  end
  out.kv = config.kv(out.kv)
  if out.publish and config.is_table_kv(out.kv) then
    fail("publish", "has no use with a table KV, whose entries are those of the TypeScript library")
  end
end

--- Checks `given` and returns a new table with every default filled in.
---@param given table as in docs/config.md
---@return table
function config.normalize(given)
  if type(given) ~= "table" then errors.raise("CONFIG", nil, "the config is a table, not %s", describe(given)) end
  local out = check_fields(given, fields, "")
  for name, value in pairs(defaults) do
    if out[name] == nil then out[name] = value end
  end
  if out.kv == nil then fail("kv", "is missing: the directory's path, or \"memory:\"") end
  place_directory(out)
  config.check_naming(out)
  if out.shards == nil then fail("shards", "is missing: an array of shard tables, or a map from names to shards") end
  out.shards = normalize_shards(out.shards)
  add_locations(out)
  check_distinct(out.shards, out.kv)
  check_keyspaces(out)
  if out.slow_query_log and not out.slow_query then
    fail("slow_query", "is missing: the seconds from which a statement is written to slow_query_log")
  end
  return out
end

return config
