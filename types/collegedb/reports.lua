---@meta _

-- What long operations take, and what they report.

---Is told how far something is: `done` of `total`, what it is at, and where it is known the rate and the seconds that
---are left. Returning `false` stops it.
---@alias collegedb.OnProgress fun(done: integer, total: integer?, label: string, info: collegedb.Pace): boolean?

---@class collegedb.Pace
---@field rate? number a second
---@field remaining? number seconds

-- --- taking over -------------------------------------------------------------------------------

---@class collegedb.IntegrateOptions
---@field tables? string[] only these
---@field primary_key_column? string the key column that the tables are expected to have
---@field dry_run? boolean only say what would be done
---@field resume? boolean go on where it was stopped
---@field on_progress? collegedb.OnProgress rows
---@field page? integer keys that are read at a time; default 524,288
---@field batch? integer keys that are written in one transaction; default 32,768
---@field [string] collegedb.NoSuchField

---@class collegedb.ExistingOptions
---@field tables? string[] only these
---@field primary_key_column? string the key column; with `db:mapper()` it can only repeat what the config says
---@field rules? string|collegedb.Rules likewise
---@field strategy? any is accepted and decides nothing, since existing rows stay where they are
---@field dry_run? boolean only say what would be done
---@field resume? boolean go on where it was stopped
---@field on_progress? collegedb.OnProgress rows
---@field add_shard_mappings_table? false
---@field [string] collegedb.NoSuchField

---@class collegedb.IntegrationReport
---@field success boolean no conflict that the rules have not resolved, and no issue
---@field shard_name string
---@field dry_run boolean
---@field tables_processed integer tables with a key
---@field total_records integer their rows
---@field mappings_created integer keys that are now known without probing
---@field entries integer how many of them needed an entry in the directory
---@field conflict_count integer keys that are on another shard too, exactly
---@field conflicts collegedb.Conflict[] the first 1,000 of them
---@field unresolved integer conflicts that the rules have not resolved
---@field issues string[] sentences: tables left out and why, rows without a usable key, conflicts and the way out
---@field notes string[] sentences that do no harm to `success`
---@field cancelled? boolean `on_progress` stopped it

---@class collegedb.Conflict
---@field key string|integer
---@field table string
---@field shard string that is integrated
---@field other_shard string where the key stands
---@field resolved? boolean the rules say that it is as it should be

---@class collegedb.IntegrationState
---@field state "waiting"|"running"|"done"|"stopped"|"failed"
---@field done integer rows
---@field total integer rows
---@field rate number rows a second
---@field remaining? number seconds
---@field conflicts integer
---@field report? collegedb.IntegrationReport
---@field error? collegedb.Error

---@class collegedb.MigrationReport
---@field migration_needed boolean
---@field migration_performed boolean
---@field records_migrated integer
---@field tables_processed integer
---@field issues string[]

---@class collegedb.TableValidation
---@field is_valid boolean there are no issues
---@field table_name string
---@field primary_key_column? string
---@field follows? string the table to whose group it belongs
---@field record_count integer
---@field issues string[]

---@class collegedb.ShardStats
---@field binding string the shard's name
---@field count integer keys that live there
---@field size integer bytes
---@field last_updated integer when this was counted, in milliseconds since 1970
---@field integrated boolean its existing rows are taken over
---@field conflicts integer keys of it that are on another shard too

-- --- moving --------------------------------------------------------------------------------------

---@class collegedb.MoveReport
---@field moved boolean `false`: it was there
---@field from string
---@field to string
---@field rows integer
---@field dangling? { table: string, columns: string[], parent: string, rows: integer }[] foreign keys, not enforced, that point to another shard now

---@class collegedb.RebalanceOptions
---@field policy? "home"|"even"|string|collegedb.Policy|collegedb.PolicyFunction default `"home"` under the strategy `hash`, else `"even"`
---@field dry_run? boolean only the plan
---@field rate? number keys a second at most
---@field on_progress? collegedb.OnProgress keys
---@field resume? boolean go on where it was stopped
---@field [string] collegedb.NoSuchField

---@class collegedb.RebalanceReport
---@field success boolean all that was planned is moved
---@field finished boolean `false`: it was stopped; the next run goes on with the rest
---@field dry_run boolean
---@field planned integer keys
---@field moves { from: string, to: string, keys: integer, bytes: integer }[] what was planned; bytes are estimated
---@field moved integer keys
---@field rows integer
---@field failed { key: any, from: string, to: string, code: collegedb.ErrorCode, message: string }[] the first 1,000
---@field failed_count integer
---@field retired boolean no earlier placement counts any more
---@field waiting boolean one still counts, because a program works in it; run it again later
---@field sealed? boolean of `db:drain`: the shard is empty, and takes no rows

---@class collegedb.VerifyOptions
---@field repair? boolean do what has one right answer
---@field dry_run? boolean do nothing, also with `repair`
---@field rate? number rows a second at most
---@field on_progress? collegedb.OnProgress rows
---@field [string] collegedb.NoSuchField

---@class collegedb.VerifyReport
---@field success boolean no findings are left
---@field counts table<collegedb.FindingKind, integer> exact
---@field findings collegedb.Finding[] the first 1,000 of each kind
---@field decide collegedb.Finding[] those that a person must decide
---@field repaired integer how much was repaired
---@field repairs string[] the first 1,000 of it, in words
---@field keys integer
---@field probed integer keys that are found by looking at shards
---@field kept integer keys on two shards that the rules have kept
---@field unusable integer rows without a usable key
---@field bare_fences integer fences around nothing
---@field moving integer keys of moves that are not over: no findings
---@field moving_seconds integer after which these can be ended at the latest, should their programs be dead
---@field unchecked string[] tables that have no key, and why
---@field entries integer
---@field entries_without_rows? integer
---@field cancelled? boolean `on_progress` stopped it

---@alias collegedb.FindingKind "doubled"|"misplaced"|"unmapped"|"orphaned"|"leftover"|"lost"|"unpublished"

---@class collegedb.Finding
---@field kind collegedb.FindingKind
---@field what string the kind in words
---@field advice string what to do
---@field key? any
---@field table? string
---@field keyspace? string
---@field shard string where it was found
---@field other_shard? string
---@field rows? integer
---@field move? integer its number

-- --- what it does ---------------------------------------------------------------------------------

---@class collegedb.Statistics
---@field programs integer whose numbers these are
---@field since integer when they begin, in seconds since 1970
---@field cache collegedb.CacheStatistics
---@field shards collegedb.ShardStatistics[] in config order

---@class collegedb.CacheStatistics
---@field hits integer keys that were in the mapping cache
---@field misses integer keys that were not
---@field hit_rate? number from 0 to 1; nil while nothing was looked for
---@field entries integer keys that are in it
---@field capacity integer keys that fit into it
---@field evictions integer keys that had to make room
---@field bytes integer of memory

---@class collegedb.ShardStatistics
---@field name string
---@field reads integer statements
---@field writes integer statements
---@field errors integer
---@field errors_by_code table<collegedb.ErrorCode, integer>
---@field slow integer statements that took longer than `slow_query`
---@field forwarded integer statements that were done elsewhere, because their key had moved
---@field read collegedb.Histogram how long reads took
---@field write collegedb.Histogram how long writes took

---@class collegedb.Histogram
---@field count integer
---@field sum number seconds
---@field p50? number seconds, as the next three: nil while `count` is 0
---@field p90? number
---@field p99? number
---@field max? number
---@field buckets { from: number, to: number, count: integer }[] seconds, ascending

---@class collegedb.Health
---@field reachable boolean
---@field latency? number milliseconds that a small read took just now
---@field error? collegedb.Error why it is not reachable
---@field errors integer statements of this program that failed there since it was opened
---@field p50? number milliseconds: half of this program's statements took no longer
---@field p99? number milliseconds: 99 of 100 did

---@class collegedb.StatisticsOptions
---@field all? boolean the sum over every running program with the same `statistics_dir`
---@field [string] collegedb.NoSuchField
