--- Existing databases, looked at and taken over by functions of the module: the
-- names of the TypeScript library. A shard is any shard value; what is opened here
-- is closed here. Nothing is written into the user's files.

local catalog = require "collegedb.catalog"
local config = require "collegedb.config"
local core = require "collegedb.core"
local default_rules = require "collegedb.rules.default"
local d1 = require "collegedb.d1"
local errors = require "collegedb.errors"
local existing_keys = require "collegedb.existing_keys"
local inspect = require "collegedb.inspect"
local instance = require "collegedb.instance"
local integration = require "collegedb.integration"
local loader = require "collegedb.loader"
local mapping = require "collegedb.mapper"
local quote = require "collegedb.quote"
require "collegedb.database" -- the methods of what instance.open gives

local existing = { create_mappings_for_existing_keys = require("collegedb.existing_mappings").create }

local SCRIPT_LIMIT = 100000000 -- as in the config's defaults

local function usage(...) errors.raise("USAGE", nil, ...) end

local function check_string(what, value)
  if type(value) ~= "string" or value == "" then
    usage("%s is a non-empty string, not %s", what, value == "" and "''" or "a " .. type(value))
  end
end

-- --- opening a shard value --------------------------------------------------------

-- SQLite would make a new database of it, in WAL mode. Asked without opening
-- it: closing a database's file drops the locks that SQLite holds on it.
local function is_empty_file(path) return core.file_size(path) == 0 end

-- The shard's handle, and what closes it if it was opened here.
local function open_shard(value)
  local done, found = pcall(config.shard_value, "the shard", value)
  if not done then errors.raise("USAGE", nil, "%s", found.message) end
  if found.handle then return found.handle, function() end end
  local shard = found.remote and found.remote:open(tostring(found.remote))
    or core.sqlite(found.path, { name = found.path, must_exist = 1,
    journal_mode = is_empty_file(found.path) and "delete" or nil })
  return shard, function() core.close(shard) end
end

local function with_shard(value, f)
  local shard, close = open_shard(value)
  local results = table.pack(pcall(f, shard))
  close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- --- tables and their keys ----------------------------------------------------------

local function check_table(name, key_column)
  check_string("a table's name", name)
  if key_column ~= nil then check_string("key_column", key_column) end
end

local function find_table(shard, name)
  for _, row in ipairs(inspect.list(shard)) do
    if quote.fold(row.name) == quote.fold(name) then return row end
  end
  errors.raise("TABLE_NOT_FOUND", { table = name }, "%s has no table %s", tostring(shard), name)
end

local function has_column(info, name)
  for _, column in ipairs(info.columns) do
    if quote.fold(column.name) == quote.fold(name) then return true end
  end
  return false
end

-- What the table is to CollegeDB, or nil and the reason why it is nothing.
local function judge(shard, row, key_column)
  if row.kind == "shadow" then return nil, "it is a part of a virtual table" end
  local infos = inspect.tables(shard, core.shard_name(shard))
  local info, rules = infos[row.name], default_rules
  if key_column and row.kind == "table" then
    if not has_column(info, key_column) then return nil, ("it has no column %s"):format(key_column) end
    rules = { name = "key_column", table = function(asked, all)
      if asked == info then return { key_column = key_column } end
      return default_rules.table(asked, all)
    end }
  end
  return catalog.judge_of(infos, rules, SCRIPT_LIMIT)(info)
end

local function keyed_table(shard, name, key_column)
  local row = find_table(shard, name)
  local found, reason = judge(shard, row, key_column)
  if found then return found end
  errors.raise("USAGE", { table = row.name }, "table %s has no key: %s", row.name, reason)
end

--- Names of the tables, without views, and without SQLite's and CollegeDB's own.
---@param value any a shard value: a path, collegedb.sqlite(path), or a handle
---@return string[] # sorted
function existing.list_tables(value)
  return with_shard(value, function(shard)
    local names = {}
    for _, row in ipairs(inspect.list(shard)) do
      if row.kind == "table" or row.kind == "virtual" then names[#names + 1] = row.name end
    end
    return names
  end)
end

local function count_rows(shard, name)
  local done, row = pcall(shard.first, shard, ("SELECT count(*) AS n FROM %s"):format(quote.name(name)))
  if done then return row.n end
  -- A view that does not work, or a virtual table without its module, has no rows to count.
  if errors.is_error(row, "SQL") then return 0 end
  error(row, 0)
end

local function add_unindexed(shard, found, what, issues)
  if not existing_keys.is_scanned(shard, found) then return end
  issues[#issues + 1] = ("%s %s has no index: every look for a key reads the whole table"):format(what,
    found.key_column)
end

local function issues_of(shard, found, issues)
  local unusable = existing_keys.unusable(shard, found)
  if unusable > 0 then
    issues[#issues + 1] = ("%d rows have no usable key (NULL, empty, over 512 bytes, or not of the column's type)")
      :format(unusable)
  end
  local follows = found.group and found.group.follows
  add_unindexed(shard, found, "the key column", issues)
  if follows and found.member then
    add_unindexed(shard, follows, ("the column by which it follows %s,"):format(found.group.parent), issues)
  end
end

--- Whether a table can be routed by its key, and what stands in the way.
---@param value any a shard value
---@param name string TABLE_NOT_FOUND if there is none
---@param key_column string? instead of what the default rules take
---@return table found { is_valid, table_name, primary_key_column, record_count, issues }, and `follows`, the table to
--- whose group it belongs; it is valid without issues
function existing.validate_table_for_sharding(value, name, key_column)
  check_table(name, key_column)
  return with_shard(value, function(shard)
    local row, issues = find_table(shard, name), {}
    local found, reason = judge(shard, row, key_column)
    local records = count_rows(shard, row.name)
    if found then issues_of(shard, found, issues) else issues[1] = reason end
    return {
      is_valid = #issues == 0, table_name = row.name, primary_key_column = found and found.key_column or nil,
      follows = found and found.group and found.group.parent or nil, record_count = records, issues = issues,
    }
  end)
end

-- A function that calls `f` at its first call only.
local function once(f)
  local called = false
  return function()
    if not called then
      called = true
      f()
    end
  end
end

--- A loop over the distinct keys of a table, one row in memory at a time:
-- `for key in collegedb.each_existing_primary_key(shard, "users") do`.
--
-- A key is what the functions of a database take: a string, or where the column holds integers a
-- key value as of db:key, because a bare 17 would not say of which table. Rows without a usable key are passed over.
---@param value any a shard value; a path is open until the loop ends
---@param name string TABLE_NOT_FOUND if there is none, USAGE if it has no key
---@param key_column string? instead of what the default rules take
---@param keyspace string? the `keyspace` of this shard in the config, which its integer keys carry
---@return function, nil, nil, table # four values for `for`
function existing.each_existing_primary_key(value, name, key_column, keyspace)
  check_table(name, key_column)
  if keyspace ~= nil then check_string("keyspace", keyspace) end
  local shard, close = open_shard(value)
  local done, step, _, _, cursor = pcall(function()
    local found = keyed_table(shard, name, key_column)
    return existing_keys.each(shard, found, found.keyspace ~= "" and keyspace or nil)
  end)
  if not done then
    close()
    error(step, 0)
  end
  local finish = once(function()
    getmetatable(cursor).__close(cursor)
    close()
  end)
  local ended = false
  local function next_key()
    if ended then return nil end
    local key = step()
    if key == nil then
      ended = true
      finish()
    end
    return key
  end
  return next_key, nil, nil, setmetatable({}, { __close = finish })
end

--- The same keys as an array; create_mappings_for_existing_keys takes it.
---@return (string|userdata)[]
function existing.discover_existing_primary_keys(value, name, key_column, keyspace)
  local keys = {}
  for key in existing.each_existing_primary_key(value, name, key_column, keyspace) do keys[#keys + 1] = key end
  return keys
end

-- --- integration -----------------------------------------------------------------------

local option_kinds = {
  tables = "table", primary_key_column = "string", strategy = true, dry_run = "boolean",
  add_shard_mappings_table = "boolean", rules = true, on_progress = "function", resume = "boolean",
}

local function check_options(opts)
  if type(opts) ~= "table" then usage("the options of integration are a table, not a %s", type(opts)) end
  for name, value in pairs(opts) do
    local kind = option_kinds[name]
    if not kind then
      usage("integration has no option %s; it takes add_shard_mappings_table, dry_run, on_progress, "
        .. "primary_key_column, resume, rules, strategy and tables", tostring(name))
    elseif kind ~= true and type(value) ~= kind then
      usage("the option %s takes a %s, not a %s", name, kind, type(value))
    end
  end
  for i, name in ipairs(opts.tables or {}) do
    if type(name) ~= "string" then usage("the option tables takes names; number %d is a %s", i, type(name)) end
  end
  if opts.add_shard_mappings_table then
    errors.raise("UNSUPPORTED", nil, "add_shard_mappings_table: integration writes nothing into the files")
  end
end

local function workflow_options(opts)
  return { tables = opts.tables, dry_run = opts.dry_run, on_progress = opts.on_progress, resume = opts.resume }
end

-- What tells the shard's database from others; nil of one in memory.
local function file_of(shard)
  if core.kind(shard) == "d1" then return d1.id_of(shard) end
  local file = shard:first("SELECT file FROM pragma_database_list WHERE name = 'main'").file
  return file and file ~= "" and core.file_id(file) or nil
end

-- The file that is given is the one that the config names.
local function check_same(shard, db, name)
  local own = db:shard(name)
  if rawequal(own, shard) then return end
  local file = file_of(shard)
  if not file or file ~= file_of(own) then
    usage("%s is not the file of shard %s in the config", tostring(shard), name)
  end
end

-- What the router will look for is what must be taken over.
local function check_same_keys(db, name, opts)
  local state = core.state(db)
  state:refresh_catalog()
  if opts.rules ~= nil and opts.rules ~= state.config.rules then
    usage "the option rules differs from the config's, by which the database routes: set it there"
  end
  if not opts.primary_key_column then return end
  local wanted, named = quote.fold(opts.primary_key_column), opts.tables and {}
  for _, each in ipairs(opts.tables or {}) do named[quote.fold(each)] = true end
  for folded, found in pairs(state.catalog.tables) do
    local taken = found.shards[state.by_name[name]] and (not named or named[folded])
    if taken and quote.fold(found.key_column) ~= wanted then
      errors.raise("USAGE", { table = found.name },
        "the database routes table %s by %s, not by %s: say it in the rules of the config", found.name,
        found.key_column, opts.primary_key_column)
    end
  end
end

local function load_rules(opts)
  local column, given = opts.primary_key_column, opts.rules or "default"
  local rules = given
  if type(given) == "string" then
    rules = loader.load({ script_dirs = {}, script_limit = SCRIPT_LIMIT }, "rules", given, "default")
  elseif type(given) == "table" then
    rules = setmetatable({ name = given.name or "of the options" },
      { __index = function(_, name) return given[name] or default_rules[name] end })
  end
  if type(rules) ~= "table" or type(rules.table) ~= "function" then
    usage("the option rules takes the name of rules or a table of them, not %s", tostring(given))
  end
  if not column then return rules end
  return setmetatable({ table = function(info, all)
    if info.kind == "table" and has_column(info, column) then return { key_column = column } end
    return rules.table(info, all)
  end }, { __index = rules })
end

-- What the workflow needs of lua/collegedb/state.lua, for a directory that no database has opened: there is no
-- placement, every key gets an entry, and the other shards are names.
local Alone = {}
Alone.__index = Alone

function Alone:refresh_catalog()
  self.catalog = catalog.build({ self.shards[1] }, self.rules, SCRIPT_LIMIT)
end

function Alone:read_epoch()
  local dir, own = self.directory, self.shards[1]
  if dir.shard:first "SELECT 1 AS yes FROM _collegedb_placements LIMIT 1" then
    errors.raise("UNSUPPORTED", nil, "the directory %s is a database's, where keys also live without an entry: "
      .. "open that and use its db:mapper()", dir.path)
  end
  self.epoch = { number = dir:epoch(), placement = 0, placements = {}, integrated = {}, generations = { 0 },
    awaits = {}, index_of = {} }
  self.shards = { own }
  for _, row in ipairs(dir.shard:all [[SELECT id, name, keyspace, integrated, generation FROM _collegedb_shards
    ORDER BY id]]) do
    local shard = row.name == own.name and own or { name = row.name }
    if shard == own then
      own.id, own.keyspace, self.epoch.integrated[1] = row.id, row.keyspace, row.integrated == 1
      self.epoch.generations[1] = row.generation
    else
      self.shards[#self.shards + 1] = shard
    end
    self.epoch.index_of[row.id] = shard == own and 1 or #self.shards
  end
end

-- Before the shard's name is registered.
local function check_tables(state, shard, opts)
  state:refresh_catalog()
  for _, each in ipairs(opts.tables or {}) do
    local row = find_table(shard, each)
    local left_out = state.catalog.unkeyed[quote.fold(row.name)]
    if left_out then
      errors.raise("USAGE", { table = row.name }, "table %s can not be integrated: %s", row.name, left_out.reason)
    end
  end
end

local function integrate_alone(shard, name, mapper, dir, opts)
  local rules = load_rules(opts)
  local state = setmetatable({
    directory = dir, rules = rules,
    config = { directory = "full", script_dirs = {}, script_limit = SCRIPT_LIMIT },
    shards = { { name = name, id = -1, handle = shard, inner = core.inner(shard) } },
  }, Alone)
  state:read_epoch()
  shard:first "SELECT 1" -- BUSY inside a transaction
  check_tables(state, shard, opts)
  if not opts.dry_run then mapping.register(mapper, name) end
  return integration.run(state, 1, workflow_options(opts))
end

--- Takes the existing data of a shard over: db:integrate through a mapper.
--
-- With db:mapper() the name is one of the database's shards, the file must be that shard's, and `rules` and
-- `primary_key_column` can only repeat what the config says. With a KVShardMapper, on a directory that no database has
-- opened yet, every key gets an entry. `strategy` is accepted and decides nothing, because existing rows stay where
-- they are.
---@param value any a shard value
---@param name string
---@param mapper collegedb.Mapper
---@param opts table? tables, primary_key_column, strategy, dry_run, rules, on_progress, resume
---@return table report as of db:integrate
function existing.integrate_existing_database(value, name, mapper, opts)
  opts = opts or {}
  check_string("a shard's name", name)
  check_options(opts)
  local db, dir = mapping.inside(mapper)
  if db then db:shard(name) end
  return with_shard(value, function(shard)
    if not db then return integrate_alone(shard, name, mapper, dir, opts) end
    check_same(shard, db, name)
    check_same_keys(db, name, opts)
    return db:integrate(name, workflow_options(opts))
  end)
end

-- --- is there anything to do? -----------------------------------------------------------------

-- A config to look with: no directory is made for that where none is yet, and no shard's file.
local function looking(settings)
  if type(settings.kv) == "userdata" then
    if require("collegedb.single_directory").exists(settings.kv) then return end
    settings.kv = "memory:"
  elseif config.is_shard_value(settings.kv) then
    local shard = settings.kv:open(tostring(settings.kv))
    local done, there = pcall(require("collegedb.single_directory").exists, shard)
    core.close(shard)
    if not done then error(there, 0) end
    if there then return end
    settings.kv = "memory:"
  elseif type(settings.kv) == "table" then
    local store = require "collegedb.kv_store"
    settings.kv = store.overlay(settings.kv)
    if store.new(settings.kv):get(require("collegedb.kv_record").KEY) then return end
  else
    if settings.kv ~= "memory:" and settings.kv ~= ":memory:" and core.file_id(settings.kv) then return end
    settings.kv = "memory:"
  end
  for _, shard in ipairs(settings.shards) do
    if type(shard[1]) == "string" and not core.file_id(shard[1]) then shard[1] = ":memory:" end
  end
end

--- Opens a config without integrating anything; to look only, without making any file.
---@param given table
---@param only_look boolean
---@return userdata db
function existing.open(given, only_look)
  local settings = config.normalize(given)
  settings.auto_migrate = false
  for i, shard in ipairs(settings.shards) do
    local copy = { [1] = shard.value.handle or shard.value.remote or shard.value.path }
    for field, value in pairs(shard) do
      if field ~= "value" then copy[field] = value end
    end
    settings.shards[i] = copy
  end
  if only_look then looking(settings) end
  return instance.open(settings)
end

local function with_database(value, name, given, only_look, f)
  check_string("a shard's name", name)
  return with_shard(value, function(shard)
    local is_open = type(given) == "userdata" and core.is_open(given)
    local db = is_open and given or existing.open(given, only_look)
    local results = table.pack(pcall(function()
      check_same(shard, db, name)
      return f(db)
    end))
    if not is_open then db:close() end
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end)
end

local function is_needed(db, name)
  local report = db:integrate(name, { dry_run = true })
  local state = core.state(db)
  local index = state.by_name[name]
  local probed_for_now = not state.epoch.integrated[index] and not state.shards[index].external_writers
  return report.entries > 0 or (probed_for_now and report.total_records > 0)
end

--- Has the shard keys that integration would make known? All keys are looked at, each time.
---@param value any a shard value: the file of the config's shard `name`
---@param name string
---@param given table|userdata a config, or an open database
---@return boolean
function existing.check_migration_needed(value, name, given)
  return with_database(value, name, given, true, function(db) return is_needed(db, name) end)
end

-- By directory, file and name: the epoch in which nothing was left to be done.
local remembered = {}

local function memory_key(db, name)
  local state = core.state(db)
  local file = file_of(db:shard(name))
  local own = state.directory.identity or core.file_id(state.directory.path)
  return file and own and table.concat({ own, file, name }, "\0")
end

--- Integrates a shard if that is needed. Where this process has seen that nothing is left to be done, the keys
-- are not looked at again while the directory's epoch is the same; rows that another program writes into
-- the file meanwhile are seen after clear_migration_cache().
---@param value any a shard value: the file of the config's shard `name`
---@param name string
---@param given table|userdata a config, or an open database
---@return table done { migration_needed, migration_performed, records_migrated, tables_processed, issues }
function existing.auto_detect_and_migrate(value, name, given)
  return with_database(value, name, given, false, function(db)
    local out = {
      migration_needed = false, migration_performed = false, records_migrated = 0, tables_processed = 0, issues = {},
    }
    local key, state = memory_key(db, name), core.state(db)
    if key and remembered[key] == state.directory:epoch() then return out end
    out.migration_needed = is_needed(db, name)
    if out.migration_needed then
      local report = db:integrate(name)
      out.migration_performed, out.records_migrated = true, report.mappings_created
      out.tables_processed, out.issues = report.tables_processed, report.issues
    end
    if key and #out.issues == 0 then remembered[key] = state.directory:epoch() end
    return out
  end)
end

--- Forgets what this process remembers of integration: the next auto_detect_and_migrate asks the directory and the
-- shard again.
function existing.clear_migration_cache() remembered = {} end

return existing
