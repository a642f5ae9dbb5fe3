---@meta _

-- The config that collegedb.open takes, and that a file collegedb.lua returns. docs/config.md says more of each field.

---What `collegedb.open` takes.
---@class collegedb.Config
---@field kv string|collegedb.SqliteFile|collegedb.D1|collegedb.Coordinator|collegedb.TableKV|collegedb.CloudflareKV|collegedb.Shard where the directory is: a path, `"memory:"`, a D1 database, `gateway:coordinator()`, or a KV of your own; Workers KV together with `coordinator`
---@field shards collegedb.ShardConfig[]|table<string, collegedb.ShardValue|collegedb.ShardConfig> an array of shard tables, or a map from names to databases or shard tables (then ordered by name)
---@field publish? collegedb.CloudflareKV entries are also written to Workers KV, and those of TypeScript programs are followed
---@field coordinator? collegedb.Coordinator|collegedb.TurnTable the directory, when `kv` is Workers KV; else who gives out the turns of strategies
---@field strategy? collegedb.StrategyName|collegedb.SelectFunction|collegedb.Strategy|collegedb.StrategyPair where new keys go; default `"hash"`
---@field target_region? collegedb.Region for the strategy `location`
---@field shard_locations? table<string, collegedb.Region|collegedb.Location> another way to write the shards' `region` and `priority`
---@field max_database_size? integer bytes: the `max_size` of every shard that has none of its own
---@field rules? string|collegedb.Rules what a table's key is: the name of a script, or rules; default `"default"`
---@field script_dirs? string[] folders in which scripts are looked for; default none
---@field script_limit? integer instructions that one call of a strategy or of rules may run; default 100,000,000
---@field auto_migrate? "background"|boolean when existing rows are taken over: by a thread; `true`: before `open` returns; `false`: by `db:integrate`; default `"background"`
---@field directory? "sparse"|"full" entries only for keys that are not at home, or for every key; default `"sparse"`
---@field mapping_secret? string the directory holds keyed digests (HMAC) of the keys
---@field hash_shard_mappings? boolean `false`: entries in a table KV, or published ones, are named by the keys themselves; default `true`
---@field keyspaces? boolean `false`: an integer is one key for all tables, and the same as the string of its digits; default `true`
---@field mapping_cache_ttl? number seconds for which a process remembers where a key is; default 30
---@field mapping_cache_size? integer of how many keys it does; default 1,000,000
---@field move_deadline? number seconds that a write waits for a key that is being moved; default 10
---@field forward_retention? number seconds for which it is remembered where keys have gone; default 86,400
---@field consistency? "cached"|"strict" `strict`: a read never shows rows that a move has left behind; default `"cached"`
---@field check_keys? boolean for development: a routed write that touches a row of another key is undone and raises `USAGE`; default `false`
---@field on_event? fun(event: collegedb.Event) is told what happens; what it raises is ignored
---@field statistics_dir? string a folder in which every program with this field writes its numbers once a second, for `db:statistics { all = true }`
---@field slow_query? number seconds from which on a statement counts as slow
---@field slow_query_log? string|fun(line: table) where slow statements are noted

---A shard in the config, and what `db:add_shard` takes.
---@class collegedb.ShardConfig
---@field [1] collegedb.ShardValue the database
---@field name? string 1 to 127 bytes; the directory knows the shard by it. In a map it stands before the shard
---@field weight? number above 0: its share of new keys; default 1
---@field allocate? boolean `false`: no new keys go here; default `true`
---@field integrate? boolean `false`: existing rows are not taken over at open, but looked for at each use; default `true`
---@field external_writers? boolean `true`: other programs insert rows here without CollegeDB; default `false`
---@field keyspace? string keeps this shard's integer keys apart from those of others
---@field region? collegedb.Region
---@field priority? integer for strategies
---@field max_size? integer bytes from which on no new keys go here
---@field journal_mode? "wal"|"delete"|"truncate"|"persist"|"memory"|"off" default `"wal"` for a new file, else what it has
---@field synchronous? "full"|"normal"|"extra"|"off" default `"full"`
---@field busy_timeout? number seconds to wait for a locked file; default 5
---@field mmap_size? integer bytes; default 0
---@field cache_size? integer pages, or KiB when negative
---@field limits? "d1" the file refuses what would be too large for D1

---A database: a path, `collegedb.sqlite(path)`, `collegedb.d1{…}`, `gateway:shard(binding)`, or a handle
---`db:shard(name)`.
---@alias collegedb.ShardValue string|collegedb.SqliteFile|collegedb.D1|collegedb.Shard

---What `collegedb.sqlite(path)` returns. `tostring` of it names the path.
---@class collegedb.SqliteFile

---One of D1's location hints.
---@alias collegedb.Region
---| "wnam" # Western North America
---| "enam" # Eastern North America
---| "weur" # Western Europe
---| "eeur" # Eastern Europe
---| "apac" # Asia-Pacific
---| "oc" # Oceania
---| "me" # Middle East
---| "af" # Africa

---@class collegedb.Location
---@field region collegedb.Region
---@field priority? integer

---What `on_event` is called with.
---@class collegedb.Event
---@field event string such as `"integrated"`, `"integration_failed"`, `"foreground"`, `"unindexed"`, `"strangers"`, `"absent"`, `"old_directory"`, `"unpublished"`, `"published"`, `"disagreement"`
---@field message string a sentence

---Turns from a place of your own, as `coordinator` in the config.
---@class collegedb.TurnTable
---@field turn fun(name: string): integer 0, 1, 2, … for all programs that share it
---@field peek? fun(name: string): integer the next one, without taking it

---A key-value store of your own as the directory. The functions are called without self; what was written must be
---seen by the next `get`, from every program. docs/table-kv.md says what each must promise.
---@class collegedb.TableKV
---@field get fun(key: string): string? the value, or nil
---@field put fun(key: string, value: string)
---@field delete fun(key: string) no error if it is not there
---@field list fun(prefix: string, cursor: string|number|nil, limit: integer): string[], string|number|nil names that begin with the prefix, and where to go on
---@field compare_and_set? fun(key: string, old: string?, new: string): boolean sets it if the value is still `old`; without it only the strategy `hash` is possible

---@class collegedb.KVShardMapperOptions
---@field mapping_secret? string as in the config
---@field hash_shard_mappings? boolean as in the config
---@field keyspaces? boolean as in the config
