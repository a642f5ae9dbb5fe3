--- Names and values of the entries in a table KV: those of the TypeScript library.
--
--   shard:H        {"shard", "createdAt", "updatedAt"[, "originalKey"]}, times in ms
--   multikey:H     the same with "keys", for a key that is found by several; every one has a shard: of its own
--   known_shards   an array of names
--
-- H is the SHA-256 of the key in hexadecimal digits (HMAC-SHA-256 with a mapping_secret), or the key itself
-- without hash_shard_mappings. Our own fields "version" (0: found in existing data) and "epoch" stand beside theirs.
-- An entry that is removed while others may look at it becomes the JSON value null, which every reader takes for none.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local format = {}

local present, cjson = pcall(require, "cjson")
local json = present and cjson.new()
if json then json.decode_invalid_numbers(false) end

format.REMOVED = "null"
format.KNOWN_SHARDS = "known_shards"
format.MULTIKEY = "multikey:"

local SHARD, KEYSPACE = "shard:", "keyspace:"

-- Longer than any key of the global keyspace, so that none of them hashes alike.
local PAD = ("\0"):rep(core.key_max)

--- Raises CONFIG where lua-cjson can not be loaded.
function format.check()
  if not present then
    errors.raise("CONFIG", { field = "kv", cause = cjson },
      "a table KV needs lua-cjson, and require \"cjson\" failed: %s", tostring(cjson):match "^[^\n]*")
  end
end

-- --- names --------------------------------------------------------------------------

---@class collegedb.KVNames
---@field secret string? mapping_secret
---@field hashed boolean hash_shard_mappings
---@field bare boolean without keyspaces

local function hash(names, text)
  return (core.sha256(text, names.secret):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

--- The name of a key's entry, and for a key of the global keyspace that of its multikey entry.
-- A key of another keyspace is hashed as 512 NUL bytes, the length of the keyspace in 8 little-endian bytes, the
-- keyspace, the key; unhashed it stands under keyspace:LENGTH:KEYSPACE:KEY.
---@param names collegedb.KVNames
---@return string name, string? multikey
function format.name(names, keyspace, text)
  if keyspace == "" or names.bare then
    local form = names.hashed and hash(names, text) or text
    return SHARD .. form, format.MULTIKEY .. form
  end
  if names.hashed then return SHARD .. hash(names, PAD .. string.pack("<s8", keyspace) .. text) end
  return ("%s%d:%s:%s"):format(KEYSPACE, #keyspace, keyspace, text)
end

--- The prefixes under which entries stand.
---@param multikeys boolean? also those of keys that are found by several
---@return string[]
function format.prefixes(names, multikeys)
  local list = { SHARD }
  if not (names.hashed or names.bare) then list[#list + 1] = KEYSPACE end
  if multikeys then list[#list + 1] = format.MULTIKEY end
  return list
end

local function is_key(text) return type(text) == "string" and text ~= "" and #text <= core.key_max end

-- What others have put there may only look like the name of an entry.
local function parts_of(name)
  local size, rest = name:match "^keyspace:(%d+):(.*)$"
  size = math.tointeger(tonumber(size))
  if not size or rest:sub(size + 1, size + 1) ~= ":" then return nil end
  return rest:sub(1, size), rest:sub(size + 2)
end

--- The key that an entry is of, where its name or the entry itself tells it.
---@return string|userdata|nil
function format.key_of(names, name, entry)
  if name:sub(1, #SHARD) == SHARD then
    local key = not names.hashed and name:sub(#SHARD + 1) or entry.originalKey
    return is_key(key) and key or nil
  end
  local keyspace, text = parts_of(name)
  if not is_key(text) then return nil end
  return core.key(keyspace, text, ("%s:%s"):format(keyspace:gsub("\0", "/"), text))
end

-- --- values -------------------------------------------------------------------------

--- Decodes the JSON value of a key; CORRUPT names the key.
function format.decode(name, raw)
  local done, value = pcall(json.decode, raw)
  if done then return value end
  errors.raise("CORRUPT", { kv_key = name, cause = value }, "the value of %q in the table KV is no JSON: %s", name,
    value)
end

format.encode = function(value) return json.encode(value) end
format.null = json and cjson.null

--- An array as JSON, also an empty one.
function format.array(list) return #list == 0 and "[]" or json.encode(list) end

local function invalid(name, message, ...)
  errors.raise("CORRUPT", { kv_key = name }, "the value of %q in the table KV " .. message, name, ...)
end

--- An entry, or nil for none. One without a version is another program's, and counts as claimed.
---@return { shard: string, version: integer, epoch: integer? }?
function format.entry(name, raw)
  if raw == nil or raw == format.REMOVED then return nil end
  local entry = format.decode(name, raw)
  if entry == cjson.null then return nil end
  if type(entry) ~= "table" or type(entry.shard) ~= "string" or entry.shard == "" then
    invalid(name, "names no shard; an entry is an object with the field shard")
  end
  for _, field in ipairs { "version", "epoch" } do
    local given = entry[field]
    entry[field] = math.tointeger(given)
    if given ~= nil and (not entry[field] or entry[field] < 0) then invalid(name, "has a wrong %s", field) end
  end
  entry.version = entry.version or 1
  return entry
end

--- The text of an entry; other programs' fields of the one before are kept.
---@param before table? of format.entry
function format.new_entry(shard, version, epoch, before)
  local entry, now = {}, os.time() * 1000
  for field, value in pairs(before or {}) do entry[field] = value end
  entry.shard, entry.version, entry.epoch = shard, version, epoch
  entry.createdAt, entry.updatedAt = entry.createdAt or now, now
  return json.encode(entry)
end

--- The names in the value of known_shards.
---@return string[]
function format.known_shards(raw)
  local names = raw == nil and {} or format.decode(format.KNOWN_SHARDS, raw)
  if names == cjson.null then return {} end
  if type(names) ~= "table" then invalid(format.KNOWN_SHARDS, "is no array of names") end
  for key, name in pairs(names) do
    if math.type(key) ~= "integer" or type(name) ~= "string" then
      invalid(format.KNOWN_SHARDS, "is no array of names")
    end
  end
  return names
end

return format
