--- The state that the parts of an open database share: its config, shards and directory, the catalog and the epoch as
-- they were last read, and the scripts in use.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local hash = require "collegedb.strategies.hash"
local loader = require "collegedb.loader"
local near_names = require "collegedb.near_names"
local quote = require "collegedb.quote"
local schema = require "collegedb.schema"
local shards = require "collegedb.shards"

-- Those that come with CollegeDB.
local STRATEGIES <const> = { "hash", "hash_compat", "location", "random", "round_robin" }

local function load_one_strategy(settings, given, scripts)
  if type(given) == "function" then return { name = "of the config", select = given } end
  if type(given) == "table" then return given end
  local strategy, looked = loader.keep(scripts, settings, "strategies", given, "hash")
  if type(strategy) == "table" and type(strategy.select) == "function" then return strategy end
  if strategy ~= nil then
    errors.raise("SCRIPT", { field = "strategy" }, "strategy %s returns no table with a function select", given)
  end
  local meant = near_names.closest(given, STRATEGIES)
  errors.raise("CONFIG", { field = "strategy" },
    "strategy %s is not known; %sthere are %s, scripts of yours by name, functions and tables (looked for %s)",
    given, meant and ("did you mean %s? "):format(meant) or "", table.concat(STRATEGIES, ", "), looked)
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
  if type(rules) ~= "table" then
    errors.raise("CONFIG", { field = "rules" }, "rules %s are not known (looked for %s)", settings.rules, looked)
  elseif rules.table == nil and type(rules.conflict) == "function" then
    return setmetatable({ name = rules.name or settings.rules },
      { __index = function(_, name) return rules[name] or base[name] end })
  elseif type(rules.table) ~= "function" then
    errors.raise("SCRIPT", { field = "rules" }, "rules %s have no function table (it is a %s), nor conflict",
      settings.rules, type(rules.table))
  end
  return rules
end

-- The short way of src/bind/home.c, where nothing but the directory and the placement counts.
local function homes(state)
  local plain = #state.epoch.probed == 0
  for _, placement in ipairs(state.epoch.placements) do plain = plain and not placement.claims end
  for _, shard in ipairs(state.shards) do plain = plain and not shard.max_size end
  if not plain or state.config.directory == "full" or not state.directory.entries then return nil end
  local function indexes(list)
    local out = {}
    for i, node in ipairs(list.nodes) do out[i] = node.index or 0 end
    return out
  end
  local ids, placements = {}, {}
  for i, placement in ipairs(state.epoch.placements) do
    placements[i] = {
      global = placement.all.placement, global_index = indexes(placement.all),
      integers = placement.untagged.placement, integer_index = indexes(placement.untagged),
    }
  end
  for index, shard in ipairs(state.shards) do ids[index] = shard.id end
  local members = {}
  for keyspace, all in pairs(state.catalog and state.catalog.members or {}) do
    if all then members[#members + 1] = keyspace end
  end
  return {
    epoch = state.epoch.number, members = members, directory = state.directory.entries, ids = ids,
    placements = placements,
  }
end

---@class collegedb.State
local State = {}
State.__index = State

--- The state of a database that is not open yet.
---@param settings table a normalized config
---@return collegedb.State
function State.new(settings)
  return setmetatable({
    config = settings, shards = {}, by_name = {}, owned = {}, absent = {}, shard_facts = {}, reports = {},
    fences = {},  -- by shard and keyspace: the schema version in which lua/collegedb/workflows/move.lua saw it standing
    scripts = {}, -- of lua/collegedb/loader.lua: what was loaded, and from which files
    weak = setmetatable({}, { __mode = "v" }), -- the database, which keeps this state alive and not the reverse
  }, State)
end

--- "hash", whose homes are computed, or "claims".
function State:family() return family_of(self.strategy) end

--- Raises BUSY inside a transaction of this program's on one of these shards, or on any.
---@param ... integer? two at most
function State:check_outside(...)
  local asked = { ... }
  for index, shard in ipairs(self.shards) do
    local is_asked = #asked == 0 or index == asked[1] or index == asked[2]
    if is_asked and not shard.single then core.check_outside(shard.handle) end
  end
end

--- Reads the catalog again when a shard's schema changed.
---@param always boolean? also when it did not: the rules may have
function State:refresh_catalog(always)
  local seen = self.weak.db and core.catalog_version(self.weak.db)
  local told = self.catalog and not self.untold
  if not always and told and not catalog.is_stale(self.catalog, self.shards, seen ~= self.catalog_seen) then
    self.catalog_seen = seen
    return
  end
  self.catalog = catalog.build(self.shards, self.rules, self.config.script_limit, not self.config.keyspaces)
  self.probe_sql, self.shard_facts = { keys = {}, rows = {}, parts = {} }, {}
  local db = self.weak.db
  if not db then return end
  self.untold = true -- C may have no memory for it
  self:publish_catalog(db)
  self.untold = false
  self.catalog_seen = core.catalog_version(db)
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
  core.catalog_changed(db, self.catalog.text_members, self.catalog.fold_text, self.catalog.either)
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

-- The shards that the directory tells of, and the epoch of one moment with them.
local function read_epoch(self)
  return self.directory:hold(function()
    local more = shards.take_up(self)
    self.epoch = epochs.read(self.directory, self.shards)
    while shards.take_up(self) do
      more = true
      self.epoch = epochs.read(self.directory, self.shards)
    end
    return more
  end)
end

--- Reads the current epoch, and tells C which way is open in it.
function State:read_epoch()
  local before = self.epoch
  local more = read_epoch(self)
  if before and before.number ~= self.epoch.number then self.scripts_due = true end
  -- First, so that nothing that fails later leaves homes of an older placement in the cache.
  local placed = before and before.placement == self.epoch.placement and before.oldest == self.epoch.oldest
  if self.weak.db and not placed then self.weak.db:flush_cache() end
  if before and not placed then
    local form = "keys are placed anew since epoch %d: shards, weights or the strategy changed"
    self:emit("epoch", form:format(self.epoch.number), { number = self.epoch.number })
  end
  if more then
    schema.welcome(self)
    self:refresh_catalog(true)
  end
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

--- Tells the config's on_event of something. docs/monitoring.md lists the events.
---@param event string
---@param message string one sentence
---@param fields table? further fields of the event
function State:emit(event, message, fields)
  if not self.config.on_event then return end
  local told = { event = event, message = message, time = os.time() }
  for name, value in pairs(fields or {}) do told[name] = value end
  -- An observer that fails must not stop what it observes.
  pcall(self.config.on_event, told)
end

return State
