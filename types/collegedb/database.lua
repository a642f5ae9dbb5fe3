---@meta _

-- The methods of an open database.

---An open database: what `collegedb.open` returns. One thread uses it at a time.
---@class collegedb.Database: userdata
---@field private opaque true
local Database = {}

---Closes the database. Open loops over it end with `CLOSED`. Closing twice is allowed.
function Database:close() end

-- --- statements with a key -------------------------------------------------------------------

---Runs one statement on the shard of the key. An INSERT of a new key gives it its place; no other statement does.
---
---Raises `USAGE` (the key, the parameters, two statements, BEGIN or ATTACH), `SQL`, `CONSTRAINT`, `BUSY`, `MOVING`
---(the key is being moved for longer than `move_deadline`), `NO_SHARDS`, `SHARD_NOT_FOUND` (the config lacks the
---key's shard), `SCRIPT` (the strategy), `FULL`, `READONLY`, `TOO_LARGE`, `CORRUPT`, `CLOSED`; over HTTP also
---`UNAVAILABLE`, `TIMEOUT`, `OUTCOME_UNKNOWN`, `RATE_LIMITED`, `AUTH`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function Database:run(key, sql, params) end

---The same as `db:run`, under a name that says what the statement does.
---
---Raises what `db:run` raises.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function Database:insert(key, sql, params) end

---The same as `db:run`, under a name that says what the statement does.
---
---Raises what `db:run` raises.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function Database:select_by_primary_key(key, sql, params) end

---The same as `db:run`, under a name that says what the statement does.
---
---Raises what `db:run` raises.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function Database:update_by_primary_key(key, sql, params) end

---The same as `db:run`, under a name that says what the statement does.
---
---Raises what `db:run` raises.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function Database:delete_by_primary_key(key, sql, params) end

---The first row of a statement on the shard of the key, or nil.
---
---Raises what `db:run` raises.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row?
function Database:first(key, sql, params) end

---All rows of a statement on the shard of the key.
---
---Raises what `db:run` raises.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row[]
function Database:all(key, sql, params) end

---The rows one at a time: `for row in db:each(key, sql, params) do … end`. The statement ends with the loop.
---
---Raises what `db:run` raises; inside the loop `CLOSED` when the database was closed.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return fun(): collegedb.Row? next
---@return nil
---@return nil
---@return collegedb.Closable closing ends it with the loop
function Database:each(key, sql, params) end

---Runs statements on the shard of the key, all or none. The first statement's table says what an integer key belongs
---to.
---
---Raises what `db:run` raises; `UNSUPPORTED` on a D1 database over REST.
---@param key collegedb.KeyArgument
---@param statements collegedb.Statement[]
---@return collegedb.Result[] results one for each
function Database:batch(key, statements) end

---Calls `f(tx)` in a transaction on the shard of the key: committed when it returns, rolled back when it raises. It
---begins IMMEDIATE, and is never run twice. Until it ends, other calls of this database to that shard raise `BUSY`.
---An integer key is written `db:key(table, id)`.
---
---Raises what `f` raises; `MOVED` (the key moved meanwhile; try again), `MOVING`, `BUSY`; `UNSUPPORTED` on a D1
---database.
---@generic R
---@param key collegedb.KeyArgument
---@param f fun(tx: collegedb.Transaction): R?
---@return R # what `f` returns
function Database:transaction(key, f) end

---A key of a table, where a bare integer could be of two.
---
---Raises `TABLE_NOT_FOUND` (no shard has the table, or it has no key), `USAGE` (the id does not fit the key column,
---or no shard has that keyspace).
---@param table_name string
---@param id string|integer
---@param keyspace? string the `keyspace` of a shard
---@return collegedb.Key
function Database:key(table_name, id, keyspace) end

---Where a key is, or where the strategy `hash` would place it, and how that is known. It gives no key a place.
---
---Raises `USAGE`; `SHARD_NOT_FOUND` (the config lacks the key's shard); what looking at a shard raises.
---@param key collegedb.KeyArgument
---@param table_name? string whose key it is
---@return string? shard its name; nil if the key is nowhere
---@return collegedb.Why why
function Database:locate(key, table_name) end

-- --- shards and schemas --------------------------------------------------------------------------

---A handle on one shard.
---
---Raises `SHARD_NOT_FOUND`, `USAGE`.
---@param name string
---@return collegedb.Shard
function Database:shard(name) end

---Names of the shards, in config order; those that were added later come last.
---@return string[] names
function Database:list_known_shards() end

---Runs one statement on every shard. When some fail, the error's `results` has the answers of the others, and its
---`failures` the errors, by shard.
---
---Raises what `shard:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return table<string, collegedb.Result> results by shard
function Database:run_all_shards(sql, params) end

---The rows of a table on all shards.
---
---Raises `TABLE_NOT_FOUND`; what `shard:run` raises.
---@param table_name string
---@return integer total
---@return table<string, integer> counts by shard
function Database:count(table_name) end

---Keys and sizes of the shards. It counts the keys, which reads every table with a key.
---
---Raises what `shard:run` raises.
---@return collegedb.ShardStats[] stats in config order
function Database:get_shard_stats() end

---Gives one shard its tables.
---
---Raises `USAGE` (no other shard has tables), `SHARD_NOT_FOUND`, `SQL`, and what else a statement raises.
---@param shard string|collegedb.Shard
---@param sql? string without it: the schema of the first other shard that has one
function Database:create_schema(shard, sql) end

---Runs a schema script on all shards, and on those that come later. Write it so that it can be run again (`CREATE
---TABLE IF NOT EXISTS`).
---
---Raises `SQL` and what else a statement raises; the message names the shards on which it was done before.
---@param sql string
function Database:ensure_schema(sql) end

---Adds a shard while programs run; those that have the directory open take it up by themselves. Its file must have no
---rows. `db:rebalance` moves those keys that have their home there from then on.
---
---Raises `CONFIG`, `USAGE`, `CONFLICT` (it has rows), `BUSY`, `UNSUPPORTED` (a directory in a table KV).
---@param shard collegedb.ShardConfig
---@return { shard: string, retiring: boolean } report `retiring` until `db:rebalance` has moved what has another home now
function Database:add_shard(shard) end

-- --- moving ---------------------------------------------------------------------------------------

---Moves all rows of a key's group to another shard, while programs run. If it is there already, nothing is done.
---
---Raises `MAPPING_NOT_FOUND` (no rows and no entry), `SHARD_NOT_FOUND`, `USAGE`, `CONFLICT` (rows of it, or a row
---with the same unique value, at the target; or another program moves it), `CONSTRAINT` (an enforced foreign key),
---`UNSUPPORTED` (triggers of yours and others: docs/moving.md), `BUSY`. All is then as it was.
---@param key collegedb.KeyArgument
---@param shard string the name of the target
---@param table_name? string whose key it is, for an integer
---@return collegedb.MoveReport
function Database:reassign_shard(key, shard, table_name) end

---Moves keys to where a policy wants them, by default to their homes, while programs run. What is moved stays moved
---when it is stopped, and the next run goes on with the rest.
---
---Raises `USAGE`, `SCRIPT` (the policy), `BUSY` (another program does it; or inside a transaction), `UNSUPPORTED` (a
---directory in a table KV).
---@param options? collegedb.RebalanceOptions
---@return collegedb.RebalanceReport
function Database:rebalance(options) end

---Empties a shard while programs run, and closes it: it gets no new keys, its keys are moved, and in the end it
---refuses rows.
---
---Raises what `db:rebalance` raises; `SHARD_NOT_FOUND`, `NO_SHARDS` (there is no other).
---@param shard string its name
---@param options? collegedb.RebalanceOptions
---@return collegedb.RebalanceReport
function Database:drain(shard, options) end

---Compares every row with where its key is looked for, every entry with rows, and what moves have left with those
---that are under way. It only reads, unless `repair` is set.
---
---Raises `USAGE`; what `shard:run` raises.
---@param options? collegedb.VerifyOptions
---@return collegedb.VerifyReport
function Database:verify(options) end

-- --- existing rows --------------------------------------------------------------------------------

---Takes the existing rows of a shard over: an entry for every key that is not at home. The rows stay where they are,
---and what is interrupted can be resumed.
---
---Raises `SHARD_NOT_FOUND`, `USAGE` (an option), `TABLE_NOT_FOUND`, `SCRIPT` (rules or workflow), `BUSY`.
---@param shard string its name
---@param options? collegedb.IntegrateOptions
---@return collegedb.IntegrationReport
function Database:integrate(shard, options) end

---How far the integration of a shard is that was begun in the background; nil for one that was not to be integrated.
---
---Raises `SHARD_NOT_FOUND`.
---@param shard string its name
---@return collegedb.IntegrationState?
function Database:integration(shard) end

---The report of the last integration of a shard by this database; nil if there was none.
---
---Raises `SHARD_NOT_FOUND`.
---@param shard string its name
---@return collegedb.IntegrationReport?
function Database:integration_report(shard) end

---Waits until nothing is integrated in the background any more.
---
---Raises `SHARD_NOT_FOUND`, `USAGE`.
---@param shard? string only this one
---@param seconds? number at most so long
---@return boolean done `false`: the time was over before that
function Database:wait_integration(shard, seconds) end

---Stops integration in the background, at the next batch. It can be resumed, and is at the next open.
---
---Raises `SHARD_NOT_FOUND`.
---@param shard? string only this one
function Database:stop_integration(shard) end

---Takes an integration back: its entries are removed, and the shard is probed again. The rows stay where they are.
---
---Raises `SHARD_NOT_FOUND`, `BUSY`.
---@param shard string its name
---@return { success: boolean, shard_name: string, entries_removed: integer } report
function Database:rollback(shard) end

-- --- the directory ------------------------------------------------------------------------------

---The directory's entries one by one. It ends with the database.
---@return collegedb.Mapper
function Database:mapper() end

---Brings the published copy in Workers KV up to date with the directory.
---
---Raises `CONFIG` (the config has no `publish`); `UNAVAILABLE`, `RATE_LIMITED`, `AUTH`, `TIMEOUT`.
---@return { keys: integer, written: integer } report
function Database:publish() end

---Forgets where keys are: each is looked up in the directory again at its next use.
function Database:flush_cache() end

---Loads the strategy and the rules anew, if their files have changed or only what these use.
---
---Raises `SCRIPT`, `CONFIG`: one of them is wrong; those before go on.
function Database:reload_scripts() end

-- --- what it does ----------------------------------------------------------------------------------

---What this program did since it opened the database: statements, errors and durations by shard, and the mapping cache.
---
---Raises `USAGE`.
---@param options? collegedb.StatisticsOptions `all`: the sum over every running program with the same `statistics_dir`
---@return collegedb.Statistics
function Database:statistics(options) end

---Reads a little from every shard; those that are far away are asked at once. It raises nothing because a shard is not
---reachable.
---@return table<string, collegedb.Health> health by shard
function Database:health() end

---The numbers of `db:statistics` as text in Prometheus' format. No request is made for it.
---
---Raises `USAGE`.
---@param options? collegedb.StatisticsOptions as of `db:statistics`
---@return string text
function Database:metrics(options) end
