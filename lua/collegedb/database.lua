--- The methods of a database that are not on the hot path. Those that are
-- (first, run, each, locate …) are in src/bind/route.c.

local background = require "collegedb.background"
local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local health = require "collegedb.health"
local instance = require "collegedb.instance"
local integration = require "collegedb.integration"
local metrics = require "collegedb.metrics"
local quote = require "collegedb.quote"
local rollback = require "collegedb.workflows.rollback"
local schema = require "collegedb.schema"
local statistics = require "collegedb.statistics"
local stats = require "collegedb.stats"
local transaction = require "collegedb.transaction"

local methods = core.db_methods

methods.transaction = transaction.routed
methods.batch = transaction.batch

local function shard_of(db, name)
  local state = core.state(db)
  if type(name) ~= "string" then
    errors.raise("USAGE", nil, "a shard's name is a string, not a %s", type(name))
  end
  if not state.by_name[name] then state:read_epoch() end -- another program may have added it
  local index = state.by_name[name]
  if index then return state.shards[index], index, state end
  local names = {}
  for i, shard in ipairs(state.shards) do names[i] = shard.name end
  errors.raise("SHARD_NOT_FOUND", { shard = name }, "no shard is named %s; there are %s", name,
    table.concat(names, ", "))
end

methods.close = instance.close

--- A handle on one shard, past the router: run, first, all, each, batch, transaction, exec, size.
function methods:shard(name) return shard_of(self, name).handle end

--- The directory's entries, one by one: get_shard_mapping, set_shard_mapping …
---@return collegedb.Mapper
function methods:mapper() return require("collegedb.mapper").of(self) end

--- Names of the shards, in config order.
---@return string[]
function methods:list_known_shards()
  local names = {}
  for index, shard in ipairs(core.state(self).shards) do names[index] = shard.name end
  return names
end

--- { { binding, count, size, last_updated }, … }: keys that live on each shard, its size in bytes, ms.
function methods:get_shard_stats()
  local state = core.state(self)
  state:read_epoch()
  state:follow_scripts()
  state:refresh_catalog()
  return stats.shards(state)
end

--- Counts and durations of the statements of this program, or with `all` of every running one whose config has the
-- same `statistics_dir`.
---@param opts { all: boolean? }?
---@return collegedb.Statistics
function methods:statistics(opts) return statistics.of(self, opts) end

--- The same as text in the format of Prometheus.
---@param opts { all: boolean? }?
---@return string
function methods:metrics(opts) return metrics.of(self, opts) end

--- Whether each shard is reachable, and how quick it is: { [shard] = { reachable, latency, errors, … } }.
---@return table<string, collegedb.Health>
function methods:health() return health.of(self) end

-- The state, with the shards that were added meanwhile.
local function current(db)
  local state = core.state(db)
  state:read_epoch()
  return state
end

--- Rows of a table: the total, and by shard.
function methods:count(name) return stats.count(current(self), name) end

--- Runs one statement on every shard; those that are far away are asked at once. When some fail, the error's `results`
-- has the answers of the others and `failures` the errors, by shard.
---@return table<string, table> results by shard
function methods:run_all_shards(sql, params)
  local shards, calls, results, failures, first = current(self).shards, {}, {}, {}, nil
  for i, shard in ipairs(shards) do calls[i] = { shard.handle, sql, params } end
  local answers, failed = core.together(calls, "run")
  for i, shard in ipairs(shards) do
    results[shard.name], failures[shard.name] = answers[i] or nil, failed[i]
    first = first or failed[i]
  end
  if not first then return results end
  if errors.is_error(first) then first.results, first.failures = results, failures end
  error(first, 0)
end

--- Gives a shard its tables: by SQL, or the schema of the first other shard that has one.
---@param shard string|userdata a name or a handle
function methods:create_schema(shard, sql)
  local state = core.state(self)
  local class = type(shard) == "userdata" and getmetatable(shard)
  local name = class and class.__name == "collegedb.shard" and core.shard_name(shard) or shard
  local target = shard_of(self, name)
  if sql ~= nil then schema.apply(target, sql) else schema.copy(state.shards, target) end
  state:refresh_catalog()
end

--- Runs a schema script on all shards, and on those that come later. Write it so
-- that it can be run again (CREATE TABLE IF NOT EXISTS).
function methods:ensure_schema(sql)
  local state = core.state(self)
  state:read_epoch() -- shards that were added meanwhile
  schema.ensure(state, sql)
  state:refresh_catalog()
end

local function key_text(found, id)
  local kind = math.type(id) or type(id)
  if found.kind == "integer" then
    local integer
    if kind == "string" then integer = core.decimal(id) elseif kind ~= "table" then integer = math.tointeger(id) end
    if integer then return tostring(integer) end
    errors.raise("USAGE", { table = found.name }, "the key of %s is an integer, not %s", found.name, tostring(id))
  end
  if kind == "integer" then return tostring(id) end
  if kind ~= "string" then
    errors.raise("USAGE", { table = found.name }, "the key of %s is a string, not a %s", found.name, kind)
  end
  if found.kind == "numeric" and core.is_odd_number(id) then
    errors.raise("USAGE", { table = found.name }, "the key %q of %s must be an integer in plain digits", id, found.name)
  end
  return found.fold and quote.fold(id) or id
end

--- An explicit key: of a table, and of a shard's keyspace if one is given.
---@param name string table
---@param id string|integer
---@param tag string? the `keyspace` of a shard
function methods:key(name, id, tag)
  local state = core.state(self)
  if type(name) ~= "string" then
    errors.raise("USAGE", nil, "db:key takes a table's name first, not a %s", type(name))
  end
  local found = state:table(name)
  if not found then
    local unkeyed = state.catalog.unkeyed[quote.fold(name)]
    errors.raise("TABLE_NOT_FOUND", { table = name },
      unkeyed and "table %s has no key: %s" or "no shard has a table %s", name, unkeyed and unkeyed.reason)
  end
  local known = tag == nil
  for _, shard in ipairs(state.shards) do known = known or shard.keyspace == tag end
  if not known then errors.raise("USAGE", { table = name }, "no shard has the keyspace %s", tostring(tag)) end
  local text = key_text(found, id)
  local label = ("%s%s:%s"):format(tag and tag .. "/" or "", found.name, text)
  return core.key(catalog.tag(tag, found.keyspace), text, label)
end

-- Runs `f` while nothing of the shard goes on in the background, now or later.
local function alone(state, name, f)
  local stopped = background.stop(state, name)
  local done, answer = pcall(f)
  if stopped then background.go_on(state) end
  if not done then error(answer, 0) end
  return answer
end

--- How far the integration of a shard is that was begun in the background.
---@return { state: string, done: integer, total: integer, rate: number, remaining: number?, conflicts: integer,
--- report: table?, error: table? }? # state is "waiting", "running", "done", "stopped" or "failed"; done and total are
--- rows, rate is rows a second, remaining seconds; nil for a shard that was not to be integrated
function methods:integration(name)
  local shard, _, state = shard_of(self, name)
  return background.describe(state, shard.name)
end

--- Waits until nothing is integrated in the background any more.
---@param name string? only for this shard
---@param seconds number? at most so long
---@return boolean # false when the time was over before that
function methods:wait_integration(name, seconds)
  local state = core.state(self)
  if name ~= nil then shard_of(self, name) end
  if seconds ~= nil and type(seconds) ~= "number" then
    errors.raise("USAGE", nil, "wait_integration takes a number of seconds, not a %s", type(seconds))
  end
  local start = core.now()
  while true do
    background.attend(state)
    if not background.is_busy(state, name) then return true end
    if seconds and core.now() - start >= seconds * 1000 then return false end
    core.pause(5)
  end
end

--- Stops integration in the background, at the next batch. It can be resumed: by db:integrate(name, { resume = true })
-- or the next open.
---@param name string? only this shard's
function methods:stop_integration(name)
  local state = core.state(self)
  if name ~= nil then shard_of(self, name) end
  if background.stop(state, name) and name ~= nil then background.go_on(state) end
end

--- Takes the existing data of a shard over.
---@param opts { tables: string[]?, primary_key_column: string?, dry_run: boolean?, resume: boolean?, page: integer?,
--- on_progress: (fun(done: integer, total: integer, label: string, info: table): boolean?)? }? on_progress stops it
--- by returning false; resume goes on where it was stopped
---@return table report
function methods:integrate(name, opts)
  local _, index, state = shard_of(self, name)
  state:read_epoch()
  state:follow_scripts()
  local report = alone(state, name, function() return integration.run(state, index, opts) end)
  self:flush_cache()
  if not report.dry_run then state.reports[name] = report end
  return report
end

--- The report of the last integration of a shard by this instance, or nil.
function methods:integration_report(name)
  local shard, _, state = shard_of(self, name)
  return state.reports[shard.name]
end

--- Compares every row with where its key resolves, every entry with rows, and what moves have left; docs/moving.md.
---@param opts { repair: boolean?, dry_run: boolean?, rate: number?, on_progress:
--- (fun(done: integer, total: integer, label: string): boolean?)? }? repair does what has one right answer; rate: rows
--- a second at most; on_progress stops it by returning false
---@return table report { success, counts, findings, decide, repaired, repairs, keys, probed, kept, unusable,
--- bare_fences, moving, moving_seconds, unchecked, entries, entries_without_rows, cancelled }
function methods:verify(opts) return require("collegedb.workflows.verify").run(core.state(self), opts) end

--- Brings the published copy in Workers KV up to date with the directory; docs/workers-kv.md.
---@return { keys: integer, written: integer } report
function methods:publish() return require("collegedb.published_keys").publish(core.state(self)) end

--- Moves the whole group of a key to another shard, while programs run. MAPPING_NOT_FOUND if nothing is known of it.
---@return table report { moved, from, to, rows }
function methods:reassign_shard(key, name, table_name)
  return require("collegedb.reassign").run(self, key, name, table_name)
end

--- Adds a shard while programs run. Those that have the directory open take it up by themselves. Under the strategy
-- hash it is the home of its share of the keys from then on; rebalance moves those that are elsewhere.
---@param shard table a shard table, as in a config
---@return table report { shard, retiring }: retiring until rebalance has moved what has another home now
function methods:add_shard(shard) return require("collegedb.growing").add(core.state(self), shard) end

--- Empties a shard while programs run, and closes it: no new keys, then no keys, then no rows.
---@param opts { policy: string|function|table|nil, dry_run: boolean?, rate: number?, on_progress: function?,
--- resume: boolean? }?
---@return collegedb.RebalanceReport
function methods:drain(name, opts)
  local shard = shard_of(self, name)
  return require("collegedb.rebalancing").run(self, "drain", opts, shard.id)
end

--- Moves keys to where a policy wants them, by default to their homes, while programs run.
---@param opts { policy: string|function|table|nil, dry_run: boolean?, rate: number?, on_progress: function?,
--- resume: boolean? }? rate in keys a second; on_progress(done, total, label, info) stops it by returning false
---@return collegedb.RebalanceReport
function methods:rebalance(opts) return require("collegedb.rebalancing").run(self, "rebalance", opts) end

--- Loads strategy and rules anew: now, and also when only what their files use has changed. When one of them is wrong,
-- it raises, and those before go on.
function methods:reload_scripts() core.state(self):reload_scripts() end

--- Takes an integration back; every row is still found, by probing.
---@return table report { success, shard_name, entries_removed }
function methods:rollback(name)
  local _, index, state = shard_of(self, name)
  local report = alone(state, name, function() return rollback.run(state, index) end)
  self:flush_cache()
  return report
end

core.db_class.__close = methods.close
core.db_class.__tostring = function(db)
  if not core.is_open(db) then return "collegedb (closed)" end
  return ("collegedb (%d shards, directory %s)"):format(#core.state(db).shards, core.state(db).directory.path)
end

return methods
