--- The mapper: the directory's entries one by one, under the names of the
-- TypeScript library. It changes what the directory says and never a row: whoever
-- maps a key to another shard moves the rows themselves.

local catalog = require "collegedb.catalog"
local config = require "collegedb.config"
local core = require "collegedb.core"
local directory = require "collegedb.directory"
local errors = require "collegedb.errors"
local existing_keys = require "collegedb.existing_keys"
local probe = require "collegedb.probe"
local stats = require "collegedb.stats"
require "collegedb.transaction" -- a method of the shards

local mapper = {}

local KEY_MAX = core.key_max
local ATTEMPTS = 20

---@class collegedb.Mapper
local Mapper = { __name = "collegedb.mapper" }
Mapper.__index = Mapper

local function usage(...) errors.raise("USAGE", nil, ...) end

local function directory_of(self)
  if self.db then return core.state(self.db).directory end
  if not self.own then errors.raise("CLOSED", nil, "the mapper of %s was closed", self.path) end
  return self.own
end

-- Keyspace and text of a string or of a db:key.
local function parts(key)
  if type(key) == "string" then
    if key == "" or #key > KEY_MAX then usage("the key has %d bytes; it must have 1 to %d", #key, KEY_MAX) end
    return "", key
  end
  local space, text = core.key_parts(key)
  if space then return space, text end
  if math.type(key) == "integer" then
    usage("the integer key %d needs a table to belong to: write db:key(table, %d)", key, key)
  end
  usage("the key is a %s; a mapper's key is a string or db:key(…)", type(key))
end

local function check_name(name)
  if type(name) ~= "string" or name == "" or #name > 127 or name:find "%c" then
    usage("a shard's name has 1 to 127 bytes without control characters; given was %s",
      type(name) == "string" and ("%q"):format(name:sub(1, 40)) or "a " .. type(name))
  end
end

local function names_by_id(shard)
  local names = {}
  for row in shard:each "SELECT id, name FROM _collegedb_shards" do names[row.id] = row.name end
  return names
end

-- The directory of a database: its shards are those of a config.
local function has_database(shard) return shard:first "SELECT 1 AS yes FROM _collegedb_placements LIMIT 1" ~= nil end

local function add_shard(tx, name)
  return tx:run("INSERT INTO _collegedb_shards (name) VALUES (?) ON CONFLICT DO NOTHING", { name }).meta.changes == 1
end

-- The record of a shard that keys may be mapped to; and whether it was registered only now.
local function target(self, tx, name)
  local missing = self.db and not core.state(self.db).by_name[name]
  local read = "SELECT id, keyspace FROM _collegedb_shards WHERE name = ?"
  local row = not missing and tx:first(read, { name })
  if row then return row, false end
  if missing or has_database(tx) then
    errors.raise("SHARD_NOT_FOUND", { shard = name }, "no shard is named %s", name)
  end
  add_shard(tx, name)
  return tx:first(read, { name }), true
end

-- The numbers of a shard with a keyspace of its own are not those of the others.
local function check_keyspace(row, name, space, key)
  local tag, keyspace = catalog.untag(space)
  if keyspace == "" and not tag or row.keyspace == tag then return end
  usage("the key %s can not be on shard %s: %s", tostring(key), name,
    row.keyspace and ("its keys have the keyspace %s"):format(row.keyspace) or "it has no keyspace of its own")
end

local function flush(self)
  if self.db then self.db:flush_cache() end
end

-- Everything is checked before anything is written.
local function write(self, list, only_new)
  local dir, entries, count = directory_of(self), {}, 0
  for i, pair in ipairs(list) do
    local space, text = parts(pair[1])
    entries[i] = { keyspace = space, text = text }
    check_name(pair[2])
  end
  if #list == 0 then return 0 end
  dir:change(function(tx)
    local rows, registered = {}, false
    for i, pair in ipairs(list) do
      local name, added = pair[2], false
      if not rows[name] then rows[name], added = target(self, tx, name) end
      registered = registered or added
      check_keyspace(rows[name], name, entries[i].keyspace, pair[1])
      entries[i].id = rows[name].id
    end
    return registered
  end, function(tx) count = dir:assign(entries, only_new, tx) end)
  flush(self)
  return count
end

-- --- single keys ------------------------------------------------------------------

-- A key that is at home, or merely found, has no entry.
local function found_without_entry(db, key, space, text)
  local name = db:locate(key)
  if not name then return nil end
  local state = core.state(db)
  local tag, keyspace = catalog.untag(space)
  local index = state.by_name[name]
  local has = probe.has(state, index, tag, keyspace, text) or probe.has(state, index, tag, keyspace, text, "rows")
  return has and { shard = name, version = 0 } or nil
end

--- Where a key is: what its entry says; of a database's mapper also where its
-- rows are, if they need no entry (version 0).
---@param key string|userdata a string, or db:key(table, id)
---@return { shard: string, version: integer }|nil # nil: no entry, and no row
function Mapper:get_shard_mapping(key)
  local space, text = parts(key)
  local dir = directory_of(self)
  local _, id, version = dir:lookup(space, text)
  if id then return { shard = dir:name_of(id) or ("number " .. id), version = version } end
  return self.db and found_without_entry(self.db, key, space, text) or nil
end

--- Maps a key to a shard, whatever it was mapped to before. It moves no rows: what
-- the key has on another shard stays there and is not found by the key any more.
-- Other open databases follow when their cached mapping ends (mapping_cache_ttl).
-- Raises SHARD_NOT_FOUND; a KVShardMapper registers the shard if no database has opened its directory.
---@param key string|userdata
---@param shard string
function Mapper:set_shard_mapping(key, shard) write(self, { { key, shard } }, false) end

--- The same for a key that is known; MAPPING_NOT_FOUND if it is not. Of two that
-- update a key at once, each decides on what the other has written. It moves no rows either.
---@param key string|userdata
---@param shard string
function Mapper:update_shard_mapping(key, shard)
  local space, text = parts(key)
  check_name(shard)
  local dir = directory_of(self)
  for _ = 1, ATTEMPTS do
    local row, registered
    local _, id, version = dir:lookup(space, text)
    if not id and not (self.db and found_without_entry(self.db, key, space, text)) then
      errors.raise("MAPPING_NOT_FOUND", { key = key }, "the key %s is not mapped to a shard", tostring(key))
    end
    dir:change(function(tx)
      row, registered = target(self, tx, shard)
      check_keyspace(row, shard, space, key)
      return registered
    end)
    if dir:replace(space, text, version, row.id) then return flush(self) end
  end
  errors.raise("BUSY", { key = key }, "the mapping of the key %s changes faster than it can be updated", tostring(key))
end

--- Removes a key's entry. The shard that it named is probed again until its next
-- integration, so that rows it has of the key are still found.
---@param key string|userdata
---@return boolean removed false if there was no entry
function Mapper:delete_shard_mapping(key)
  local space, text = parts(key)
  local removed = directory_of(self):forget(space, text)
  flush(self)
  return removed
end

-- --- many -----------------------------------------------------------------------------

local function check_pairs(list)
  if type(list) ~= "table" then usage("a batch takes an array of { key, shard }, not a %s", type(list)) end
  for i in pairs(list) do
    if math.type(i) ~= "integer" or i < 1 or i > #list then
      usage("a batch takes an array of { key, shard }, and has the field %s", tostring(i))
    end
  end
  for i, pair in ipairs(list) do
    if type(pair) ~= "table" then usage("number %d of the batch is no { key, shard }", i) end
  end
end

--- set_shard_mapping for many keys, in one transaction: all or none. In a table KV
-- they are written one by one, after all were checked.
---@param list { [1]: string|userdata, [2]: string }[]
---@return integer count
function Mapper:set_shard_mappings_batch(list)
  check_pairs(list)
  return write(self, list, false)
end

--- Maps the keys that have no entry yet, in one transaction.
---@param list { [1]: string|userdata, [2]: string }[]
---@return integer count of new entries
function mapper.add_new(self, list) return write(self, list, true) end

--- Removes all entries. Every shard is probed again until its next integration, so that every row is still found.
---@return integer count of entries
function Mapper:clear_all_mappings()
  local count = directory_of(self):discard()
  flush(self)
  return count
end

-- The keys of one table that the router takes to this shard.
local function add_keys(self, list, seen, found, shard)
  for key in existing_keys.each(shard.handle, found, found.keyspace ~= "" and shard.keyspace or nil) do
    local label = type(key) == "string" and key
    if not (label and seen[label]) and self.db:locate(key) == shard.name then list[#list + 1] = key end
    if label then seen[label] = true end
  end
end

-- The keys of the entries, where the directory has more than digests.
local function mapped_keys(dir, name)
  local keys, untold = {}, 1
  if dir.keys_of then keys, untold = dir:keys_of(name) end
  if untold == 0 then return keys end
  errors.raise("UNSUPPORTED", nil, "the directory has digests of keys, not keys: ask db:mapper() of the database")
end

--- The keys that live on a shard, read from its tables, because the directory
-- has digests only: a key that is mapped to the shard and has no row there is not
-- among them. A KVShardMapper, which has no shards, raises UNSUPPORTED, unless a table KV has the keys themselves.
---@param name string
---@return (string|userdata)[] # strings, and key values where the key is an integer
function Mapper:get_keys_for_shard(name)
  check_name(name)
  if not self.db then return mapped_keys(directory_of(self), name) end
  self.db:shard(name)
  local state = core.state(self.db)
  state:read_epoch()
  state:refresh_catalog()
  local index, list, seen = state.by_name[name], {}, {}
  for _, found in ipairs(catalog.key_columns(state.catalog, index)) do
    add_keys(self, list, seen, found, state.shards[index])
  end
  return list
end

--- Keys by shard: of a database's mapper those that live there, as in db:get_shard_stats; of a KVShardMapper the
-- entries.
---@return table<string, integer>
function Mapper:get_shard_key_counts()
  local dir, counts = directory_of(self), {}
  local entries = dir:counts()
  for _, name in ipairs(dir:names()) do counts[name] = 0 end
  for id, name in pairs(names_by_id(dir.shard)) do counts[name] = entries[id] or 0 end
  if not self.db then return counts end
  local state = core.state(self.db)
  state:refresh_catalog()
  for index, shard in ipairs(state.shards) do counts[shard.name] = stats.keys(state, index, shard.handle) end
  return counts
end

-- --- the shards that the directory knows ------------------------------------------------

---@return string[] names; first those that a config or a mapping has used, in the order of their first use
function Mapper:get_known_shards()
  local names, dir = {}, directory_of(self)
  for row in dir.shard:each "SELECT name FROM _collegedb_shards ORDER BY id" do
    names[#names + 1] = row.name
  end
  local more = dir:names()
  return table.move(more, 1, #more, #names + 1, names)
end

--- Makes a shard's name known. Its file is what a config says, and keys can be mapped to it in a database when that is
-- opened with it.
---@param name string
function Mapper:add_known_shard(name)
  check_name(name)
  directory_of(self):add_names { name }
end

--- Gives a shard its record in a directory that no database has opened.
function mapper.register(self, name)
  check_name(name)
  directory_of(self):change(function(tx) return select(2, target(self, tx, name)) end)
end

local function check_unused(self, dir, tx, id, name)
  if self.db and core.state(self.db).by_name[name] then
    usage("shard %s is in the config of this database and stays known", name)
  end
  local keys = dir:counts(tx)[id] or 0
  if keys > 0 or tx:first("SELECT 1 AS yes FROM _collegedb_homes WHERE shard = ?", { id }) then
    errors.raise("CONFLICT", { shard = name }, "shard %s can not be forgotten: %s", name,
      keys > 0 and ("%d keys are mapped to it"):format(keys) or "keys are at home on it")
  end
end

local function set_known(self, dir, names, wanted)
  dir:change(function(tx)
    local changed = false
    for id, name in pairs(names_by_id(tx)) do
      if not wanted[name] then
        check_unused(self, dir, tx, id, name)
        if dir.check_unused then dir:check_unused(tx, id) end
        tx:run("DELETE FROM _collegedb_shards WHERE id = ?", { id })
        changed = true
      end
    end
    return changed
  end, function(tx) dir:set_names(names, tx) end)
end

--- Makes these names the known shards, all or nothing. One that was used is forgotten only if no
-- key is mapped to it (CONFLICT) and no other program has the directory open (BUSY).
---@param names string[]
function Mapper:set_known_shards(names)
  if type(names) ~= "table" then usage("set_known_shards takes an array of names, not a %s", type(names)) end
  local dir, wanted, fewer = directory_of(self), {}, false
  for _, name in ipairs(names) do
    check_name(name)
    wanted[name] = true
  end
  for _, name in pairs(names_by_id(dir.shard)) do fewer = fewer or not wanted[name] end
  if not fewer then return set_known(self, dir, names, wanted) end
  if not dir:alone(function() set_known(self, dir, names, wanted) end) then
    errors.raise("BUSY", nil, "another program has the directory %s open, and may use the shards that go", dir.path)
  end
end

-- --- making one ---------------------------------------------------------------------------

--- Closes a KVShardMapper; the mapper of a database ends with the database.
function Mapper:close()
  if self.own then self.own:close() end
  self.own = nil
end

Mapper.__close = Mapper.close
Mapper.__tostring = function(self) return "collegedb mapper of " .. self.path end

--- The mapper of an open database: db:mapper().
function mapper.of(db)
  return setmetatable({ db = db, path = core.state(db).directory.path }, Mapper)
end

--- Is `value` a mapper? Its database, or its directory.
---@return userdata|nil db, table|nil directory
function mapper.inside(value)
  if getmetatable(value) ~= Mapper then
    usage("a mapper is db:mapper() or collegedb.KVShardMapper(kv), not a %s", type(value))
  end
  return value.db, directory_of(value)
end

local option_kinds = { mapping_secret = "string", hash_shard_mappings = "boolean", keyspaces = "boolean" }

local function check_options(opts)
  if type(opts) ~= "table" then
    errors.raise("CONFIG", nil, "the options of KVShardMapper are a table, not a %s", type(opts))
  end
  for name, value in pairs(opts) do
    local kind = option_kinds[name]
    if not kind then
      errors.raise("CONFIG", { field = tostring(name) },
        "%s is no option of KVShardMapper; it takes mapping_secret, hash_shard_mappings and keyspaces", tostring(name))
    elseif type(value) ~= kind then
      errors.raise("CONFIG", { field = name }, "%s takes a %s, not a %s", name, kind, type(value))
    end
  end
end

--- A mapper on a directory without the database: close it when it is done.
---@param kv string|table the directory's path, "memory:", or a table KV
---@param opts { mapping_secret: string?, hash_shard_mappings: boolean?, keyspaces: boolean? }? as in the config
---@return collegedb.Mapper
function mapper.KVShardMapper(kv, opts)
  opts = opts or {}
  config.kv(kv)
  check_options(opts)
  config.check_naming { kv = kv, hash_shard_mappings = opts.hash_shard_mappings, keyspaces = opts.keyspaces,
    mapping_secret = opts.mapping_secret }
  local own = directory.open(kv, opts.mapping_secret, opts)
  return setmetatable({ path = own.path, own = own }, Mapper)
end

return mapper
