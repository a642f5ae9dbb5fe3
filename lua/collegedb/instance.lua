--- Opening and closing a database: its parts, and the state that they share.

local background = require "collegedb.background"
local catalog = require "collegedb.catalog"
local config = require "collegedb.config"
local core = require "collegedb.core"
local directory = require "collegedb.directory"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local identity = require "collegedb.identity"
local integration = require "collegedb.integration"
local hash = require "collegedb.strategies.hash"
local loader = require "collegedb.loader"
local quote = require "collegedb.quote"
local reports = require "collegedb.integration_report"
local router = require "collegedb.router"
local schema = require "collegedb.schema"
local stats = require "collegedb.stats"

local instance = {}

local LIFE_MAX = 1000 * 3600 * 24 * 365 * 100 -- ms: what the mapping cache has bits for, and then some

local function load_one_strategy(settings, given, scripts)
  if type(given) == "function" then return { name = "of the config", select = given } end
  if type(given) == "table" then return given end
  local strategy, looked = loader.keep(scripts, settings, "strategies", given, "hash")
  if type(strategy) == "table" and type(strategy.select) == "function" then return strategy end
  if strategy ~= nil then
    errors.raise("SCRIPT", { field = "strategy" }, "strategy %s returns no table with a function select", given)
  end
  errors.raise("CONFIG", { field = "strategy" },
    "strategy %s is not known; it takes \"hash\", the name of a script, a function or a table (looked for %s)",
    given, looked)
end

-- { read =, write = }: what places a key that is looked for, and one that is inserted.
local function load_strategy(settings, scripts)
  local given = settings.strategy
  if type(given) == "table" and given.write then
    return {
      read = load_one_strategy(settings, given.read, scripts),
      write = load_one_strategy(settings, given.write, scripts),
    }
  end
  local one = load_one_strategy(settings, given, scripts)
  return { read = one, write = one }
end

local function family_of(strategy) return strategy.write == hash and "hash" or "claims" end

local function load_rules(settings, scripts)
  local base = require "collegedb.rules.default"
  if type(settings.rules) == "table" then
    return setmetatable({ name = settings.rules.name or "of the config" },
      { __index = function(_, name) return settings.rules[name] or base[name] end })
  end
  local rules, looked = loader.keep(scripts, settings, "rules", settings.rules, "default")
  if type(rules) == "table" and type(rules.table) == "function" then return rules end
  errors.raise(rules == nil and "CONFIG" or "SCRIPT", { field = "rules" }, "rules %s are not known (looked for %s)",
    settings.rules, looked or "a table with a function table")
end

-- The short way of src/bind/home.c, where nothing but the directory and the placement counts.
local function homes(state)
  local placement = state.epoch.placements[1]
  local plain = #state.epoch.probed == 0 and #state.epoch.placements == 1 and not placement.claims
  for _, shard in ipairs(state.shards) do plain = plain and not shard.max_size end
  if not plain or state.config.directory == "full" then return nil end
  local function indexes(list)
    local out = {}
    for i, node in ipairs(list.nodes) do out[i] = node.index or 0 end
    return out
  end
  local ids = {}
  for index, shard in ipairs(state.shards) do ids[index] = shard.id end
  local members = {}
  for keyspace, all in pairs(state.catalog and state.catalog.members or {}) do
    if all then members[#members + 1] = keyspace end
  end
  return {
    epoch = state.epoch.number, members = members, directory = state.directory.entries, ids = ids,
    global = placement.all.placement, global_index = indexes(placement.all),
    integers = placement.untagged.placement, integer_index = indexes(placement.untagged),
  }
end

local State = {}
State.__index = State

--- Reads the catalog again when a shard's schema changed.
---@param always boolean? also when it did not: the rules may have
function State:refresh_catalog(always)
  if not always and self.catalog and not catalog.is_stale(self.catalog, self.shards) then return end
  self.catalog = catalog.build(self.shards, self.rules, self.config.script_limit)
  self.probe_sql, self.shard_facts = { keys = {}, rows = {}, parts = {} }, {}
  local db = self.weak.db
  if db then self:publish_catalog(db) end
end

-- What check_keys looks at. Of a table that follows another it is enough that one
-- of its keys is the one that was asked for; where the group's own is not stored in the row, nothing can be told.
local function columns_to_check(state)
  local list = {}
  local function add(column, index)
    local tag = state.shards[index].keyspace
    list[#list + 1] = {
      name = column.name, shard = index, column = column.column, kind = column.kind, fold = column.fold,
      keyspace = column.keyspace ~= "" and catalog.tag(tag, column.keyspace) or "",
    }
  end
  for _, each in pairs(state.catalog.tables) do
    for index, here in pairs(each.shards) do
      local follows = here.member and here.group.follows
      if not here.member and here.column then add(here, index) end
      if follows and not follows.member and here.column and follows.column then
        add(here, index)
        add(follows, index)
      end
    end
  end
  return list
end

--- Tells C: plans ask again, and check_keys learns which columns are keys.
function State:publish_catalog(db)
  core.catalog_changed(db, self.catalog.text_members)
  if self.epoch then core.set_homes(db, not self.scripts_due and homes(self) or nil) end
  if self.config.check_keys then core.check_tables(db, columns_to_check(self)) end
end

--- Loads strategy and rules, those anew whose file changed. A strategy of the
-- other family would place keys that are there anew, which only an open may do.
function State:load_scripts()
  local strategy, rules = load_strategy(self.config, self.scripts), load_rules(self.config, self.scripts)
  if self.strategy and family_of(strategy) ~= family_of(self.strategy) then
    errors.raise("CONFIG", { field = "strategy" }, "the strategy is of another family now; open the database again")
  end
  self.strategy, self.rules = strategy, rules
end

--- Takes scripts that changed into use: all of them, or none when one of them is wrong.
---@param always boolean? reads the catalog again also when the rules are the same
function State:take_scripts(always)
  local strategy, rules = self.strategy, self.rules
  local taken, err = pcall(function()
    self:load_scripts()
    if always or self.rules ~= rules then self:refresh_catalog(true) end
  end)
  if taken then return end
  self.strategy, self.rules = strategy, rules
  error(err, 0)
end

--- Loads strategy and rules anew, whether their files changed or not.
function State:reload_scripts()
  for _, each in pairs(self.scripts) do each.script = nil end
  self:take_scripts(true)
end

--- The first call in a new epoch looks whether the files of scripts changed. One
-- that is wrong now raises once; the script before it goes on.
function State:follow_scripts()
  if not self.scripts_due then return end
  self.scripts_due = false
  core.set_homes(self.weak.db, homes(self))
  if loader.changed(self.scripts, self.config) then self:take_scripts() end
end

--- Reads the current epoch, and tells C which way is open in it.
function State:read_epoch()
  local before = self.epoch
  self.epoch = epochs.read(self.directory, self.shards)
  if before and before.number ~= self.epoch.number then self.scripts_due = true end
  -- The short way does not come by where the scripts are looked after.
  if self.weak.db then core.set_homes(self.weak.db, not self.scripts_due and homes(self) or nil) end
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

local function is_file(path) return path and path ~= ":memory:" and path ~= "memory:" end

-- Nothing is made before it is clear that everything can be.
local function check_folder(what, path)
  if not is_file(path) then return end
  local folder = path:match "^(.*)/[^/]*$"
  if folder and folder ~= "" and not core.file_id(folder) then
    errors.raise("UNAVAILABLE", { shard = what }, "%s can not be opened: the directory %s does not exist", path, folder)
  end
  local _, reason = core.file_id(path)
  if not reason then _, reason = core.file_id(path .. "-journal") end -- the name may be too long for what SQLite adds
  if reason then errors.raise("UNAVAILABLE", { shard = what }, "%s can not be opened: %s", path, reason) end
end

local function check_folders(settings)
  check_folder("the directory", settings.kv)
  for _, shard in ipairs(settings.shards) do check_folder(shard.name, shard.value.path) end
end

-- Two names of one file would be two shards with the same rows.
local function check_files_differ(settings)
  local seen = {}
  local function add(what, path)
    local id = is_file(path) and core.file_id(path)
    if not id then return end
    if seen[id] then errors.raise("CONFIG", { shard = what }, "%s and %s are one file, %s", seen[id], what, path) end
    seen[id] = what
  end
  add("the directory", settings.kv)
  for i, shard in ipairs(settings.shards) do add(("shards[%d] (%s)"):format(i, shard.name), shard.value.path) end
end

local function open_shard(state, shard)
  shard.handle = shard.value.handle or core.sqlite(shard.value.path, {
    name = shard.name, journal_mode = shard.journal_mode, synchronous = shard.synchronous,
    busy_timeout_ms = shard.busy_timeout and math.floor(shard.busy_timeout * 1000 + 0.5),
    mmap_size = shard.mmap_size, cache_size = shard.cache_size,
  })
  shard.inner = core.inner(shard.handle)
  if not shard.value.handle then state.owned[#state.owned + 1] = shard.handle end
end

-- A shard that held keys yesterday is not made anew, empty, because its file is
-- not there today. It may have been made just now, by another program.
local function check_known_files(state)
  for _, shard in ipairs(state.shards) do
    if not shard.handle and state.directory:knows(shard.name) then
      if not core.file_id(shard.value.path) then
        errors.raise("CONFIG", { shard = shard.name },
          "the file %s of shard %s is not there, and the directory knows the shard: put it back, or name the right one",
          shard.value.path, shard.name)
      end
      open_shard(state, shard)
    end
  end
end

local function is_empty(shard) return stats.is_empty(shard.inner) end

local function open_missing(state)
  for _, shard in ipairs(state.shards) do
    if not shard.handle then open_shard(state, shard) end
  end
  check_files_differ(state.config)
end

-- Files that are there are opened first, and new ones made when nothing else can refuse any more.
local function open_parts(state)
  local settings = state.config
  state:load_scripts()
  check_folders(settings)
  check_files_differ(settings)
  for index, shard in ipairs(settings.shards) do
    state.shards[index], state.by_name[shard.name] = shard, index
    shard.is_empty = is_empty
    if not is_file(shard.value.path) or core.file_id(shard.value.path) then open_shard(state, shard) end
  end
  state.directory = directory.open(settings.kv, settings.mapping_secret)
  check_known_files(state)
  epochs.reconcile(state.directory, state.shards, family_of(state.strategy),
    function() open_missing(state) end, function() schema.welcome(state) end)
  state:read_epoch()
  state:refresh_catalog()
end

local function close_parts(state)
  if state.directory then state.directory:close() end
  for _, handle in ipairs(state.owned) do core.close(handle) end
end

-- Rows that would not be found make their shard one that still is to be integrated.
local function check_identity(state)
  local strangers = {}
  for _, index in ipairs(identity.check(state)) do
    strangers[#strangers + 1] = state.shards[index]
    state:emit("strangers", ("%s has rows that the directory does not know of"):format(state.shards[index].name))
  end
  if #strangers == 0 then return end
  epochs.distrust(state.directory, strangers)
  state:read_epoch()
end

local function report_one(state, name)
  local done, err = pcall(background.report, state, name)
  if done then return end
  if not errors.is_error(err, "MOVED") then error(err, 0) end
  state:read_epoch() -- rolled back just now: it awaits its integration again
end

-- Of those that a process integrated that ended before it could say what it had found.
local function report_finished(state)
  local rows = state.directory.shard:all [[SELECT s.name FROM _collegedb_jobs AS j JOIN _collegedb_shards AS s
    ON s.id = j.subject WHERE j.workflow = 'integrate' AND j.step = 'finish' AND s.integrated = 1]]
  for _, row in ipairs(rows) do
    if state.by_name[row.name] then report_one(state, row.name) end
  end
end

-- Where others go on writing there is no end of taking over: such a shard is probed.
local function awaiting(state)
  local queue, any = {}, false
  for index, shard in ipairs(state.shards) do
    if shard.integrate and not shard.external_writers and not state.epoch.integrated[index] then
      queue[shard.name], any = true, true
    end
  end
  return any and queue
end

local function integrate_now(state, queue)
  for index, shard in ipairs(state.shards) do
    if queue[shard.name] and not state.epoch.integrated[index] then
      local report = integration.run(state, index, { resume = true })
      state.reports[shard.name] = report
      state:emit("integrated", ("%s: %d keys, %d conflicts"):format(shard.name, report.total_records,
        report.conflict_count))
    end
  end
end

local function integrate_all(state)
  if state.config.auto_migrate == false then return end
  report_finished(state)
  local queue = awaiting(state)
  if not queue then return end
  local obstacle = state.config.auto_migrate == "background" and background.obstacle(state)
  if state.config.auto_migrate == "background" and not obstacle then return background.start(state, queue) end
  if obstacle then state:emit("foreground", "existing rows are taken over before open returns: " .. obstacle) end
  integrate_now(state, queue)
end

-- Whoever listens learns by which columns every look is a scan.
local function tell_unindexed(state)
  if not state.config.on_event then return end
  for index, shard in ipairs(state.shards) do
    for _, found in ipairs(catalog.key_columns(state.catalog, index)) do
      local note = reports.unindexed(shard, found)
      if note then state:emit("unindexed", ("shard %s, %s"):format(shard.name, note)) end
    end
  end
end

--- Opens a database; see docs/config.md.
---@param given table
---@return userdata db
function instance.open(given)
  local settings = config.normalize(given)
  local state = setmetatable({
    config = settings, shards = {}, by_name = {}, owned = {}, shard_facts = {}, reports = {},
    scripts = {}, -- of lua/collegedb/loader.lua: what was loaded, and from which files
    weak = setmetatable({}, { __mode = "v" }), -- the database, which keeps this state alive and not the reverse
  }, State)
  local db
  local opened, err = pcall(function()
    open_parts(state)
    local handles = {}
    for index, shard in ipairs(state.shards) do handles[index] = shard.handle end
    db = core.router(state, handles, router.resolve, router.describe, {
      cache_size = settings.mapping_cache_size,
      life_ms = math.floor(math.min(settings.mapping_cache_ttl * 1000, LIFE_MAX)),
      check_keys = settings.check_keys,
    })
    state.weak.db = db
    state:publish_catalog(db)
    state:read_epoch()
    check_identity(state)
    tell_unindexed(state)
    integrate_all(state)
  end)
  if opened then return db end
  if db then core.close_router(db) end
  close_parts(state)
  error(err, 0)
end

--- Closes the database; open loops over it end with CLOSED. Closing twice is allowed.
---@param db userdata
function instance.close(db)
  if not core.is_open(db) then return end
  close_parts(core.close_router(db)) -- news of the background are for the next open: nothing is begun here
end

return instance
