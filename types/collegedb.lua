---@meta collegedb

-- The interface of CollegeDB as LuaCATS annotations: lua-language-server completes and checks programs by it. Nothing
-- here runs. Tell the server where it is, in .luarc.json:
--
--     { "runtime.version": "Lua 5.4", "workspace.library": ["/usr/share/collegedb/types"] }
--
-- This file has the functions of the module; the files in collegedb/ have the rest, one subject each. Written by hand,
-- except collegedb/default.lua.

---The module: `local collegedb = require "collegedb"`.
---@class collegedb
---@field version string the version of CollegeDB, such as `"0.1.0"`
---@field _VERSION string the same
---@field null collegedb.Null as a parameter: binds NULL
local collegedb = {}

-- --- opening -------------------------------------------------------------------------------

---Opens a database. Files that are not there are made, existing rows are found from the first call on, and taken over
---in the background (`auto_migrate`). Close it with `db:close()`, or write `local db <close> = …`.
---
---Raises `CONFIG` (which field is wrong, and what it takes), `SCRIPT` (a strategy or rules fail), `UNAVAILABLE`,
---`READONLY`, `CORRUPT` or `BUSY` (a file or service cannot be used; or the config was changed while another program
---has the directory open).
---@param config collegedb.Config
---@return collegedb.Database db
function collegedb.open(config) end

---Opens a database and makes it the default: every method of a database is then also a function of the module, so
---that `collegedb.first(key, sql)` is `db:first(key, sql)`. A second call makes another one the default, and leaves
---the first open. Before the first call these functions raise `USAGE`.
---
---Raises what `collegedb.open` raises.
---@param config collegedb.Config
---@return collegedb.Database db
function collegedb.initialize(config) end

---Is this an error of CollegeDB, and of this code if one is given?
---@param value any what `pcall` returned
---@param code? collegedb.ErrorCode
---@return boolean
function collegedb.is_error(value, code) end

-- --- values --------------------------------------------------------------------------------

---A string as a parameter that is bound as BLOB; a plain string is bound as TEXT.
---
---Raises `USAGE`: not a string.
---@param bytes string
---@return collegedb.Blob
function collegedb.blob(bytes) end

---A SQLite file as a shard value: the same as its path. Nothing is opened yet.
---
---Raises `USAGE`: no path.
---@param path string
---@return collegedb.SqliteFile
function collegedb.sqlite(path) end

---A Cloudflare D1 database as a shard value or as the directory, over Cloudflare's REST interface. Nothing is asked
---yet.
---
---Raises `CONFIG`: a field is missing or wrong.
---@param options collegedb.D1Options
---@return collegedb.D1
function collegedb.d1(options) end

---A gateway Worker (folder `worker/`) of your Cloudflare account: D1 databases, a coordinator and Workers KV for
---programs outside of Cloudflare. Nothing is asked yet.
---
---Raises `CONFIG`: a field is missing or wrong.
---@param options collegedb.GatewayOptions
---@return collegedb.Gateway
function collegedb.gateway(options) end

---A namespace of Workers KV, over Cloudflare's REST interface: to publish the directory's entries for Workers (field
---`publish`), or to read and write it. Nothing is asked yet.
---
---Raises `CONFIG`: a field is missing or wrong.
---@param options collegedb.CloudflareKVOptions
---@return collegedb.CloudflareKV
function collegedb.cloudflare_kv(options) end

---The entries of a directory one by one, without its shards. Close it with `mapper:close()`. The mapper of an open
---database is `db:mapper()`.
---
---Raises `CONFIG`; `UNAVAILABLE`, `CORRUPT` or `BUSY` where the directory cannot be opened.
---@param kv string|collegedb.D1|collegedb.Coordinator|collegedb.TableKV a path, `"memory:"`, or as `kv` of the config
---@param options? collegedb.KVShardMapperOptions
---@return collegedb.Mapper
function collegedb.KVShardMapper(kv, options) end

-- --- existing databases ----------------------------------------------------------------------
-- They look at one file, which must be there; nothing is written into it, and it is closed again.

---The tables of a shard, without views, and without SQLite's and CollegeDB's own.
---
---Raises `USAGE` (no shard value), `UNAVAILABLE`, `CORRUPT`, `BUSY`.
---@param shard collegedb.ShardValue
---@return string[] names sorted
function collegedb.list_tables(shard) end

---Whether a table can be routed by its key, and what stands in the way.
---
---Raises `TABLE_NOT_FOUND`; what `collegedb.list_tables` raises.
---@param shard collegedb.ShardValue
---@param table_name string
---@param key_column? string instead of the column that the default rules take
---@return collegedb.TableValidation
function collegedb.validate_table_for_sharding(shard, table_name, key_column) end

---The distinct keys of a table, as the functions of a database take them. Rows without a usable key are passed over.
---
---Raises `TABLE_NOT_FOUND`, `USAGE` (the table has no key); what `collegedb.list_tables` raises.
---@param shard collegedb.ShardValue
---@param table_name string
---@param key_column? string instead of the column that the default rules take
---@param keyspace? string the `keyspace` of this shard in the config, which its integer keys carry
---@return (string|collegedb.Key)[] keys strings; of a column of integers, values as of `db:key`
function collegedb.discover_existing_primary_keys(shard, table_name, key_column, keyspace) end

---The same as a loop, with one row in memory at a time: `for key in collegedb.each_existing_primary_key("east.db",
---"users") do … end`. A path stays open until the loop ends.
---
---Raises what `collegedb.discover_existing_primary_keys` raises.
---@param shard collegedb.ShardValue
---@param table_name string
---@param key_column? string instead of the column that the default rules take
---@param keyspace? string the `keyspace` of this shard in the config, which its integer keys carry
---@return fun(): (string|collegedb.Key)? next
---@return nil
---@return nil
---@return collegedb.Closable closing ends it with the loop
function collegedb.each_existing_primary_key(shard, table_name, key_column, keyspace) end

---Takes the existing rows of a shard over, as `db:integrate` does, through a mapper. With `db:mapper()` the name is
---one of that database's shards, and the file must be that shard's. With a `collegedb.KVShardMapper`, whose directory
---no database has opened yet, every key gets an entry.
---
---Raises `USAGE`, `TABLE_NOT_FOUND`, `SHARD_NOT_FOUND`, `SCRIPT`; `UNSUPPORTED` (the directory of a `KVShardMapper`
---is a database's; or `add_shard_mappings_table` is true); `BUSY`, `UNAVAILABLE` and other failures of the file.
---@param shard collegedb.ShardValue
---@param name string the shard's
---@param mapper collegedb.Mapper
---@param options? collegedb.ExistingOptions
---@return collegedb.IntegrationReport
function collegedb.integrate_existing_database(shard, name, mapper, options) end

---Maps the keys that are not mapped yet, each to the shard that the strategy says, in one transaction. It moves no
---rows.
---
---Raises `USAGE`, `SHARD_NOT_FOUND`; `SCRIPT` (what the strategy answered).
---@param keys (string|collegedb.Key)[] as of `collegedb.discover_existing_primary_keys`
---@param shards string[] their names
---@param strategy? collegedb.StrategyName|collegedb.SelectFunction|collegedb.Strategy `"hash"` if it is left out
---@param mapper collegedb.Mapper
---@return integer count of the mappings that were made
function collegedb.create_mappings_for_existing_keys(keys, shards, strategy, mapper) end

---Has the shard keys that integration would make known? All keys are looked at, each time; nothing is written.
---
---Raises `USAGE` (it is not the file of that shard); what `collegedb.open` raises.
---@param shard collegedb.ShardValue the file of the config's shard `name`
---@param name string
---@param config collegedb.Config|collegedb.Database
---@return boolean
function collegedb.check_migration_needed(shard, name, config) end

---Integrates a shard if that is needed. Where this process has seen that nothing is left to be done, the keys are not
---looked at again while the directory's epoch is the same, until `collegedb.clear_migration_cache()`.
---
---Raises what `collegedb.check_migration_needed` and `db:integrate` raise.
---@param shard collegedb.ShardValue the file of the config's shard `name`
---@param name string
---@param config collegedb.Config|collegedb.Database
---@return collegedb.MigrationReport
function collegedb.auto_detect_and_migrate(shard, name, config) end

---Forgets what this process remembers of integration: the next `collegedb.auto_detect_and_migrate` looks at the
---directory and the shard again.
function collegedb.clear_migration_cache() end

return collegedb
