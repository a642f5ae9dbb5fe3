---@meta _

-- The directory's entries one by one, under the names of the TypeScript library.

---The entries of a directory: `db:mapper()`, or `collegedb.KVShardMapper(kv)`. **Mapping a key moves no rows.** Rows
---that it has on another shard stay there, and the key does not reach them any more.
---@class collegedb.Mapper
---@field private opaque true
local Mapper = {}

---Where a key is: what its entry says. The mapper of a database also knows keys without an entry by their rows (then
---`version` is 0). Nil: neither.
---
---Raises `USAGE` (the key), `CLOSED`.
---@param key string|collegedb.Key
---@return { shard: string, version: integer }?
function Mapper:get_shard_mapping(key) end

---Maps a key to a shard, whatever it was mapped to before. Other programs follow when their cached mapping ends.
---
---Raises `USAGE`, `SHARD_NOT_FOUND`, `CLOSED`.
---@param key string|collegedb.Key
---@param shard string its name
function Mapper:set_shard_mapping(key, shard) end

---The same for a key that is known.
---
---Raises `MAPPING_NOT_FOUND` (it is not known), `USAGE`, `SHARD_NOT_FOUND`, `BUSY`, `CLOSED`.
---@param key string|collegedb.Key
---@param shard string its name
function Mapper:update_shard_mapping(key, shard) end

---Maps many keys, all or none; in a table KV one by one, after all were checked.
---
---Raises what `mapper:set_shard_mapping` raises.
---@param list collegedb.Mapping[] keys and the names of shards
---@return integer count
function Mapper:set_shard_mappings_batch(list) end

---Removes a key's entry. The shard that it named is probed until its next integration, so rows are still found.
---
---Raises `USAGE`, `CLOSED`.
---@param key string|collegedb.Key
---@return boolean removed `false`: there was no entry
function Mapper:delete_shard_mapping(key) end

---Removes all entries. Every shard is probed until its next integration, so rows are still found.
---
---Raises `CLOSED`.
---@return integer count of entries
function Mapper:clear_all_mappings() end

---The keys that live on a shard. `db:mapper()` reads them from its tables; a `KVShardMapper` can tell them only where
---a table KV has the keys themselves.
---
---Raises `SHARD_NOT_FOUND`, `UNSUPPORTED` (the directory has digests), `USAGE`, `CLOSED`.
---@param shard string its name
---@return (string|collegedb.Key)[] keys
function Mapper:get_keys_for_shard(shard) end

---Keys by shard: of a database's mapper those that live there, of a `KVShardMapper` the entries.
---
---Raises `CLOSED`; what `shard:run` raises.
---@return table<string, integer> counts
function Mapper:get_shard_key_counts() end

---Names of the shards that the directory knows.
---
---Raises `CLOSED`.
---@return string[] names those that a config or a mapping has used come first, in the order of their first use
function Mapper:get_known_shards() end

---Makes these names the known shards, all or nothing.
---
---Raises `CONFLICT` (one that would go has keys), `BUSY` (another program has the directory open), `USAGE`, `CLOSED`.
---@param names string[]
function Mapper:set_known_shards(names) end

---Makes a shard's name known.
---
---Raises `USAGE`, `CLOSED`.
---@param name string
function Mapper:add_known_shard(name) end

---Closes a `KVShardMapper`. The mapper of a database ends with the database.
function Mapper:close() end

---A key, and the name of its shard.
---@class collegedb.Mapping
---@field [1] string|collegedb.Key
---@field [2] string
