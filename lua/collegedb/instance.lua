--- One open database: opening and closing it, and the methods that are not on
-- the hot path. Those that are (first, run, each, locate …) are in src/bind/route.c.

local catalog = require "collegedb.catalog"
local config = require "collegedb.config"
local core = require "collegedb.core"
local directory = require "collegedb.directory"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local loader = require "collegedb.loader"
local quote = require "collegedb.quote"
local router = require "collegedb.router"
local schema = require "collegedb.schema"
local stats = require "collegedb.stats"
local transaction = require "collegedb.transaction"

local instance = {}

local State = {}
State.__index = State

--- Reads the catalog again when a shard's schema changed.
function State:refresh_catalog()
  if self.catalog and not catalog.is_stale(self.catalog, self.shards) then return end
  self.catalog = catalog.build(self.shards, self.rules, self.config.script_limit)
  self.probe_sql, self.shard_facts = {}, {}
  local db = self.weak.db
  if db then self:publish_catalog(db) end
end

-- Plans in C ask again; check_keys learns which columns are keys.
function State:publish_catalog(db)
  core.catalog_changed(db)
  if not self.config.check_keys then return end
  local list = {}
  for _, each in pairs(self.catalog.tables) do
    for index in pairs(each.shards) do
      local shard = self.shards[index]
      list[#list + 1] = { name = each.name, shard = shard.name, column = each.column, kind = each.kind, fold = each.fold,
        keyspace = each.keyspace ~= "" and catalog.tag(shard.keyspace, each.keyspace) or "" }
    end
  end
  core.check_tables(db, list)
end

--- What is known of a table, or nil.
function State:table(name)
  local folded = quote.fold(name)
  local version = self.weak.db and core.catalog_version(self.weak.db)
  if not self.catalog.tables[folded] or version ~= self.seen_version then
    self:refresh_catalog()
    self.seen_version = self.weak.db and core.catalog_version(self.weak.db)
  end
  return self.catalog.tables[folded]
end

function State:emit(event, message)
  if not self.config.on_event then return end
  -- An observer that fails must not stop what it observes.
  pcall(self.config.on_event, { event = event, message = message })
end

-- --- opening ------------------------------------------------------------------

local function open_shard(state, given)
  local shard = given
  if given.value.handle then
    shard.handle = given.value.handle
  else
    shard.handle = core.sqlite(given.value.path, {
      name = given.name, journal_mode = given.journal_mode, synchronous = given.synchronous,
      busy_timeout_ms = given.busy_timeout and math.floor(given.busy_timeout * 1000 + 0.5),
      mmap_size = given.mmap_size, cache_size = given.cache_size,
    })
    state.owned[#state.owned + 1] = shard.handle
  end
  shard.is_empty = function() return stats.is_empty(shard.handle) end
  return shard
end

local function load_strategy(settings)
  local given = settings.strategy
  if type(given) == "function" then return { name = "of the config", select = given } end
  if type(given) == "table" then return given end
  local strategy, looked = loader.load(settings, "strategies", given, "hash")
  if type(strategy) == "table" and type(strategy.select) == "function" then return strategy end
  if strategy ~= nil then
    errors.raise("SCRIPT", { field = "strategy" }, "strategy %s returns no table with a function select", given)
  end
  errors.raise("CONFIG", { field = "strategy" },
    "strategy %s is not known; it takes \"hash\", the name of a script, a function or a table (looked for %s)", given, looked)
end

local function load_rules(settings)
  local base = require "collegedb.rules.default"
  if type(settings.rules) == "table" then return setmetatable(settings.rules, getmetatable(settings.rules) or { __index = base }) end
  local rules, looked = loader.load(settings, "rules", settings.rules, "default")
  if type(rules) == "table" and type(rules.table) == "function" then return rules end
  errors.raise(rules == nil and "CONFIG" or "SCRIPT", { field = "rules" }, "rules %s are not known (looked for %s)",
    settings.rules, looked or "a table with a function table")
end

local function open_parts(state)
  local settings = state.config
  state.rules, state.strategy = load_rules(settings), load_strategy(settings)
  for index, given in ipairs(settings.shards) do
    state.shards[index] = open_shard(state, given)
    state.by_name[given.name] = index
  end
  state.directory = directory.open(settings.kv, settings.mapping_secret)
  epochs.reconcile(state.directory, state.shards, state.strategy.family == "hash" and "hash" or "claims")
  state.epoch = epochs.read(state.directory, state.shards)
  schema.welcome(state)
  state:refresh_catalog()
end

local function close_parts(state)
  if state.directory then state.directory:close() end
  for _, handle in ipairs(state.owned) do core.close(handle) end
end

local function integrate_all(state)
  if state.config.auto_migrate == false then return end
  local integrate = require "collegedb.workflows.integrate"
  for index, shard in ipairs(state.shards) do
    if shard.integrate and not state.epoch.integrated[index] then
      local report = integrate.run(state, index)
      state.reports[shard.name] = report
      state:emit("integrated", ("%s: %d keys, %d conflicts"):format(shard.name, report.total_records, report.conflict_count))
    end
  end
end

--- Opens a database; see docs/config.md.
---@param given table
---@return userdata db
function instance.open(given)
  local settings = config.normalize(given)
  local state = setmetatable({
    config = settings, shards = {}, by_name = {}, owned = {}, probe_sql = {}, shard_facts = {}, reports = {},
    weak = setmetatable({}, { __mode = "v" }), -- the database, which keeps this state alive and not the reverse
  }, State)
  local db
  local opened, err = pcall(function()
    open_parts(state)
    local handles = {}
    for index, shard in ipairs(state.shards) do handles[index] = shard.handle end
    db = core.router(state, handles, router.resolve, router.describe, {
      cache_size = settings.mapping_cache_size, life_ms = math.floor(settings.mapping_cache_ttl * 1000),
      check_keys = settings.check_keys,
    })
    state.weak.db = db
    state:publish_catalog(db)
    integrate_all(state)
  end)
  if opened then return db end
  if db then core.close_router(db) end
  close_parts(state)
  error(err, 0)
end

-- --- methods ------------------------------------------------------------------

local methods = core.db_methods

methods.transaction = transaction.routed
methods.batch = transaction.batch

local function shard_of(db, name)
  local state = core.state(db)
  local index = type(name) == "string" and state.by_name[name]
  if index then return state.shards[index], index, state end
  if type(name) ~= "string" then
    errors.raise("USAGE", nil, "a shard's name is a string, not a %s", type(name))
  end
  local names = {}
  for i, shard in ipairs(state.shards) do names[i] = shard.name end
  errors.raise("SHARD_NOT_FOUND", { shard = name }, "no shard is named %s; there are %s", name, table.concat(names, ", "))
end

--- Closes the database; open loops over it end with CLOSED. Closing twice is allowed.
function methods:close()
  if not core.is_open(self) then return end
  local state = core.state(self)
  core.close_router(self)
  close_parts(state)
end

--- A handle on one shard, past the router: run, first, all, each, batch, transaction, exec, size.
function methods:shard(name) return shard_of(self, name).handle end

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
  state:refresh_catalog()
  return stats.shards(state)
end

--- Rows of a table: the total, and by shard.
function methods:count(name) return stats.count(core.state(self), name) end

--- Runs one statement on every shard. When some fail, the error's `results`
-- has the answers of the others and `failures` the errors, by shard.
---@return table<string, table> results by shard
function methods:run_all_shards(sql, params)
  local results, failures, first = {}, {}, nil
  for _, shard in ipairs(core.state(self).shards) do
    local done, answer = pcall(shard.handle.run, shard.handle, sql, params)
    if done then results[shard.name] = answer else failures[shard.name], first = answer, first or answer end
  end
  if not first then return results end
  if errors.is_error(first) then first.results, first.failures = results, failures end
  error(first, 0)
end

--- Gives a shard its tables: by SQL, or the schema of the first other shard that has one.
---@param shard string|userdata a name or a handle
function methods:create_schema(shard, sql)
  local state = core.state(self)
  local name = type(shard) == "userdata" and core.shard_name(shard) or shard
  local target = shard_of(self, name)
  if sql ~= nil then schema.apply(target, sql) else schema.copy(state.shards, target) end
  state:refresh_catalog()
end

--- Runs a schema script on all shards, and on those that come later. Write it so
-- that it can be run again (CREATE TABLE IF NOT EXISTS).
function methods:ensure_schema(sql)
  local state = core.state(self)
  schema.ensure(state, sql)
  state:refresh_catalog()
end

local function key_text(found, id)
  local kind = math.type(id) or type(id)
  if found.kind == "integer" then
    local integer = kind == "string" and core.decimal(id) or math.tointeger(id)
    if integer and kind ~= "string" or (kind == "string" and integer) then return tostring(integer) end
    errors.raise("USAGE", { table = found.name }, "the key of %s is an integer, not %s", found.name, tostring(id))
  end
  if kind == "integer" then return tostring(id) end
  if kind ~= "string" then
    errors.raise("USAGE", { table = found.name }, "the key of %s is a string, not a %s", found.name, kind)
  end
  return found.fold and quote.fold(id) or id
end

--- An explicit key: of a table, and of a shard's keyspace if one is given.
---@param name string table
---@param id string|integer
---@param tag string? the `keyspace` of a shard
function methods:key(name, id, tag)
  local state = core.state(self)
  if type(name) ~= "string" then errors.raise("USAGE", nil, "db:key takes a table's name first, not a %s", type(name)) end
  local found = state:table(name)
  if not found then
    local unkeyed = state.catalog.unkeyed[quote.fold(name)]
    errors.raise("TABLE_NOT_FOUND", { table = name }, unkeyed and "table %s has no key: %s" or "no shard has a table %s", name,
      unkeyed and unkeyed.reason)
  end
  local known = tag == nil
  for _, shard in ipairs(state.shards) do known = known or shard.keyspace == tag end
  if not known then errors.raise("USAGE", { table = name }, "no shard has the keyspace %s", tostring(tag)) end
  local text = key_text(found, id)
  return core.key(catalog.tag(tag, found.keyspace), text, ("%s%s:%s"):format(tag and tag .. "/" or "", found.name, text))
end

--- Takes the existing data of a shard over.
---@param opts { tables: string[]?, dry_run: boolean?, on_progress: function? }?
---@return table report
function methods:integrate(name, opts)
  local _, index, state = shard_of(self, name)
  local report = require("collegedb.workflows.integrate").run(state, index, opts)
  core.flush_cache(self)
  if not report.dry_run then state.reports[name] = report end
  return report
end

--- The report of the last integration of a shard by this instance, or nil.
function methods:integration_report(name)
  local shard, _, state = shard_of(self, name)
  return state.reports[shard.name]
end

--- Takes an integration back; every row is still found, by probing.
---@return table report { success, shard_name, entries_removed }
function methods:rollback(name)
  local _, index, state = shard_of(self, name)
  local report = require("collegedb.workflows.rollback").run(state, index)
  core.flush_cache(self)
  return report
end

core.flush_cache = methods.flush_cache
core.db_class.__close = methods.close
core.db_class.__tostring = function(db)
  if not core.is_open(db) then return "collegedb (closed)" end
  return ("collegedb (%d shards, directory %s)"):format(#core.state(db).shards, core.state(db).directory.path)
end

return instance
