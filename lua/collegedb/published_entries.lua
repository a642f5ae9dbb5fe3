--- What is published in Workers KV: names and values exactly as the TypeScript library has them (lua/collegedb/
-- kv_format.lua has the names), without fields of ours.

local errors = require "collegedb.errors"
local format = require "collegedb.kv_format"
local json = require "collegedb.json"
local reader = require "collegedb.json_reader"

local entries = {}

entries.UNFIT = "a key that is no UTF-8, or too long for its name in Workers KV, is not published"

local NAME_MAX <const> = 512

local function fits(name) return #name <= NAME_MAX and utf8.len(name) ~= nil end

--- The name of a key's entry, and of its multikey entry; nil where KV can not have it.
---@param naming collegedb.KVNames
---@return string? name, string? multikey
function entries.names(naming, keyspace, text)
  local name, multikey = format.name(naming, keyspace, text)
  if not fits(name) then return nil end
  return name, multikey and fits(multikey) and multikey or nil
end

--- The prefixes under which entries stand.
function entries.prefixes(naming) return format.prefixes(naming, true) end

-- --- reading ------------------------------------------------------------------------------

-- A value as a table, or nil for none or something else.
local function parse(raw)
  local done, value = pcall(reader.decode, raw or "null")
  return done and type(value) == "table" and type(value.shard) == "string" and value.shard ~= "" and value or nil
end

-- The same of what is to be followed: that must be an entry.
local function entry_of(name, raw)
  local entry = parse(raw)
  if entry or raw == nil or raw == format.REMOVED then return entry end
  errors.raise("CORRUPT", { kv_key = name }, "the value of %q in Workers KV names no shard: an entry is a JSON object "
    .. "with the field shard", name)
end

--- The shard that a key's entry names, or its multikey entry.
---@param values table<string, string>
---@return string?
function entries.shard_of(name, multikey, values)
  local entry = entry_of(name, values[name]) or (multikey and entry_of(multikey, values[multikey]))
  return entry and entry.shard or nil
end

--- What KV has of keys: by the entry's name the shard, or false. A value that is no entry counts as another shard's.
---@param keys { keyspace: string, text: string }[]
---@return table<string, string|false>
function entries.read(kv, naming, keys)
  local asked, names = {}, {}
  for _, key in ipairs(keys) do
    local name, multikey = entries.names(naming, key.keyspace, key.text)
    if name and not names[name] then
      names[name] = multikey or true
      asked[#asked + 1], asked[#asked + 2] = name, multikey
    end
  end
  local values, found = kv:get_many(asked), {}
  for name, multikey in pairs(names) do
    local done, shard = pcall(entries.shard_of, name, multikey ~= true and multikey or nil, values)
    if done then found[name] = shard or false else found[name] = "" end
  end
  return found
end

-- --- writing --------------------------------------------------------------------------------

local ORDER <const> = { "shard", "createdAt", "updatedAt", "keys", "originalKey" }

-- The fields as the TypeScript library orders them, and behind them those of whoever else.
local function encode(entry)
  local parts, rest = {}, {}
  for _, field in ipairs(ORDER) do
    if entry[field] ~= nil then parts[#parts + 1] = ('"%s":%s'):format(field, json.encode(entry[field])) end
    rest[field] = true
  end
  local more = {}
  for field in pairs(entry) do
    if not rest[field] then more[#more + 1] = field end
  end
  table.sort(more)
  for _, field in ipairs(more) do parts[#parts + 1] = json.encode(field) .. ":" .. json.encode(entry[field]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Times are in ms.
local function made(shard, before, original)
  local entry, time = {}, os.time() * 1000
  for field, value in pairs(before or {}) do entry[field] = value end
  entry.shard, entry.createdAt, entry.updatedAt = shard, entry.createdAt or time, time
  entry.keys, entry.originalKey = before and before.keys, original
  return entry
end

-- A multikey entry, and the entries of the key's other names, which stand in it as hashes or as they are.
local function put_multikey(out, naming, item, multi)
  out(item.multikey, made(item.shard, multi))
  for _, form in ipairs(type(multi.keys) == "table" and multi.keys or {}) do
    local name = type(form) == "string" and "shard:" .. form
    if name and name ~= item.name and fits(name) then
      out(name, made(item.shard, { createdAt = multi.createdAt }, not naming.hashed and form or nil))
    end
  end
end

local function put(out, naming, item, values)
  local before, multi = parse(values[item.name]), item.multikey and parse(values[item.multikey])
  if multi and multi.shard ~= item.shard then put_multikey(out, naming, item, multi) end
  if before and before.shard == item.shard then return end
  local created = before or (multi and { createdAt = multi.createdAt }) or nil
  out(item.name, made(item.shard, created, not naming.hashed and item.text or nil))
end

-- The names of all that stands in KV of a key.
local function names_of(item, values)
  local names, multi = { item.name }, item.multikey and parse(values[item.multikey])
  if not multi then return names end
  names[2] = item.multikey
  for _, form in ipairs(type(multi.keys) == "table" and multi.keys or {}) do
    local name = type(form) == "string" and "shard:" .. form
    if name and name ~= item.name and fits(name) then names[#names + 1] = name end
  end
  return names
end

local function values_before(kv, items, seconds)
  local asked = {}
  for name, item in pairs(items) do
    if not item.fresh and (item.shard or item.gone) then asked[#asked + 1], asked[#asked + 2] = name, item.multikey end
  end
  return kv:get_many(asked, seconds)
end

-- What is to be written, each name once.
local function new_batch()
  local batch, at = { puts = {}, gone = {} }, {}
  function batch.of(item)
    item.written = {}
    return function(name, entry)
      item.written[#item.written + 1] = name
      -- Another name of one key may be a key itself: what is decided of that stands.
      if at[name] and name ~= item.name then return end
      at[name] = at[name] or #batch.puts + 1
      batch.puts[at[name]] = { key = name, value = encode(entry) }
    end
  end
  return batch
end

-- The other shard on which a new key stands in KV already.
local function others_place(item, values)
  if not (item.new and item.shard) then return nil end
  local known, theirs = pcall(entries.shard_of, item.name, item.multikey, values)
  return known and theirs ~= item.shard and theirs or nil
end

--- Writes what is decided: of an item with `shard` that it is there, of one without that is `gone` that it is nowhere.
-- `written` of an item gets the names that are written for it.
---@param items table<string, table> by name
---@param seconds number?
---@return table[] others those that are new and stand in KV already, on another shard (`theirs`): they stay so
function entries.write(kv, naming, items, seconds)
  local values, batch, others = values_before(kv, items, seconds), new_batch(), {}
  for _, item in pairs(items) do
    item.theirs = others_place(item, values)
    if item.theirs then
      others[#others + 1] = item
    elseif item.shard then
      put(batch.of(item), naming, item, values)
    elseif item.gone then
      item.written = names_of(item, values)
      table.move(item.written, 1, #item.written, #batch.gone + 1, batch.gone)
    end
  end
  kv:put_many(batch.puts, seconds)
  kv:delete_many(batch.gone, seconds)
  return others
end

-- --- known_shards ---------------------------------------------------------------------------

--- Adds names to known_shards, behind those that are there.
---@param all_of_them boolean these are all: what else is there goes
function entries.publish_known(kv, names, all_of_them, seconds)
  local raw = kv:get(format.KNOWN_SHARDS, seconds)
  local done, list = pcall(reader.decode, raw or "[]")
  local known, all = {}, {}
  local function add(name)
    if type(name) == "string" and not known[name] then all[#all + 1] = name end
    if type(name) == "string" then known[name] = true end
  end
  local keep = done and type(list) == "table" and not all_of_them
  for _, name in ipairs(keep and list or {}) do add(name) end
  for _, name in ipairs(names) do add(name) end
  local value = json.encode(all)
  if value ~= raw then kv:put(format.KNOWN_SHARDS, value, seconds) end
end

--- Raises CONFIG for a shard whose name could not stand in JSON.
function entries.check_shards(shards)
  for i, shard in ipairs(shards) do
    if not utf8.len(shard.name) then
      errors.raise("CONFIG", { field = ("shards[%d].name"):format(i) }, "shards[%d].name is no UTF-8, and can not be "
        .. "published", i)
    end
  end
end

return entries
