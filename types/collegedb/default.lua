---@meta _

-- The methods of the database that collegedb.initialize has opened, as functions of the module. Written by
-- scripts/build/types.lua from database.lua: change that, and run `make types`.

---@class collegedb
local collegedb = {}

---As `db:close`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
function collegedb.close() end

---As `db:run`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function collegedb.run(key, sql, params) end

---As `db:insert`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function collegedb.insert(key, sql, params) end

---As `db:select_by_primary_key`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function collegedb.select_by_primary_key(key, sql, params) end

---As `db:update_by_primary_key`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function collegedb.update_by_primary_key(key, sql, params) end

---As `db:delete_by_primary_key`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function collegedb.delete_by_primary_key(key, sql, params) end

---As `db:first`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row?
function collegedb.first(key, sql, params) end

---As `db:all`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row[]
function collegedb.all(key, sql, params) end

---As `db:each`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param sql string
---@param params? collegedb.Params
---@return fun(): collegedb.Row? next
---@return nil
---@return nil
---@return collegedb.Closable closing ends it with the loop
function collegedb.each(key, sql, params) end

---As `db:batch`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param statements collegedb.Statement[]
---@return collegedb.Result[] results one for each
function collegedb.batch(key, statements) end

---As `db:transaction`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@generic R
---@param key collegedb.KeyArgument
---@param f fun(tx: collegedb.Transaction): R?
---@return R # what `f` returns
function collegedb.transaction(key, f) end

---As `db:key`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param table_name string
---@param id string|integer
---@param keyspace? string the `keyspace` of a shard
---@return collegedb.Key
function collegedb.key(table_name, id, keyspace) end

---As `db:locate`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param table_name? string whose key it is
---@return string? shard its name; nil if the key is nowhere
---@return collegedb.Why why
function collegedb.locate(key, table_name) end

---As `db:shard`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param name string
---@return collegedb.Shard
function collegedb.shard(name) end

---As `db:list_known_shards`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@return string[] names
function collegedb.list_known_shards() end

---As `db:run_all_shards`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param sql string
---@param params? collegedb.Params
---@return table<string, collegedb.Result> results by shard
function collegedb.run_all_shards(sql, params) end

---As `db:count`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param table_name string
---@return integer total
---@return table<string, integer> counts by shard
function collegedb.count(table_name) end

---As `db:get_shard_stats`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@return collegedb.ShardStats[] stats in config order
function collegedb.get_shard_stats() end

---As `db:create_schema`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard string|collegedb.Shard
---@param sql? string without it: the schema of the first other shard that has one
function collegedb.create_schema(shard, sql) end

---As `db:ensure_schema`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param sql string
function collegedb.ensure_schema(sql) end

---As `db:add_shard`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard collegedb.ShardConfig
---@return { shard: string, retiring: boolean } report `retiring` until `db:rebalance` has moved what has another home now
function collegedb.add_shard(shard) end

---As `db:reassign_shard`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param key collegedb.KeyArgument
---@param shard string the name of the target
---@param table_name? string whose key it is, for an integer
---@return collegedb.MoveReport
function collegedb.reassign_shard(key, shard, table_name) end

---As `db:rebalance`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param options? collegedb.RebalanceOptions
---@return collegedb.RebalanceReport
function collegedb.rebalance(options) end

---As `db:drain`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard string its name
---@param options? collegedb.RebalanceOptions
---@return collegedb.RebalanceReport
function collegedb.drain(shard, options) end

---As `db:verify`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param options? collegedb.VerifyOptions
---@return collegedb.VerifyReport
function collegedb.verify(options) end

---As `db:integrate`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard string its name
---@param options? collegedb.IntegrateOptions
---@return collegedb.IntegrationReport
function collegedb.integrate(shard, options) end

---As `db:integration`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard string its name
---@return collegedb.IntegrationState?
function collegedb.integration(shard) end

---As `db:integration_report`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard string its name
---@return collegedb.IntegrationReport?
function collegedb.integration_report(shard) end

---As `db:wait_integration`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard? string only this one
---@param seconds? number at most so long
---@return boolean done `false`: the time was over before that
function collegedb.wait_integration(shard, seconds) end

---As `db:stop_integration`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard? string only this one
function collegedb.stop_integration(shard) end

---As `db:rollback`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param shard string its name
---@return { success: boolean, shard_name: string, entries_removed: integer } report
function collegedb.rollback(shard) end

---As `db:mapper`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@return collegedb.Mapper
function collegedb.mapper() end

---As `db:publish`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@return { keys: integer, written: integer } report
function collegedb.publish() end

---As `db:flush_cache`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
function collegedb.flush_cache() end

---As `db:reload_scripts`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
function collegedb.reload_scripts() end

---As `db:statistics`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param options? collegedb.StatisticsOptions `all`: the sum over every running program with the same `statistics_dir`
---@return collegedb.Statistics
function collegedb.statistics(options) end

---As `db:health`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@return table<string, collegedb.Health> health by shard
function collegedb.health() end

---As `db:metrics`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.
---@param options? collegedb.StatisticsOptions as of `db:statistics`
---@return string text
function collegedb.metrics(options) end
