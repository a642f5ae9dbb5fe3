--- Opening and closing a database; lua/collegedb/state.lua is what its parts share.

local background = require "collegedb.background"
local catalog = require "collegedb.catalog"
local config = require "collegedb.config"
local core = require "collegedb.core"
local directory = require "collegedb.directory"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local growing = require "collegedb.growing"
local identity = require "collegedb.identity"
local integration = require "collegedb.integration"
local mend = require "collegedb.mend"
local moved = require "collegedb.moved"
local recovery = require "collegedb.recovery"
local reports = require "collegedb.integration_report"
local router = require "collegedb.router"
local schema = require "collegedb.schema"
local shards = require "collegedb.shards"
local slow_queries = require "collegedb.slow_queries"
local State = require "collegedb.state"

local instance = {}

local LIFE_MAX = 1000 * 3600 * 24 * 365 * 100 -- ms: what the mapping cache has bits for, and then some

-- --- opening ------------------------------------------------------------------

local function check_folders(settings)
  shards.check_folder("the directory", settings.kv)
  for _, shard in ipairs(settings.shards) do shards.check_folder(shard.name, shard.value.path) end
end

-- A shard that held keys yesterday is not made anew, empty, because its file is
-- not there today. It may have been made just now, by another program.
local function check_known_files(state)
  for _, shard in ipairs(state.shards) do
    if not shard.handle and state.directory:knows(shard.name) then
      if shards.is_file(shard.value.path) and not core.file_id(shard.value.path) then
        errors.raise("CONFIG", { shard = shard.name },
          "the file %s of shard %s is not there, and the directory knows the shard: put it back, or name the right one",
          shard.value.path, shard.name)
      end
      shards.open(state, shard)
    end
    if shard.handle then shards.check_not_lost(state.directory, shard) end
  end
end

-- Shards that were added while programs ran, and that the config does not name.
local function add_added(state)
  for _, shard in ipairs(shards.added(state.directory)) do
    if not state.by_name[shard.name] then
      state.shards[#state.shards + 1] = shard
      state.by_name[shard.name] = #state.shards
    end
  end
end

local function open_missing(state)
  for _, shard in ipairs(state.shards) do
    if not shard.handle then shards.open(state, shard) end
  end
  shards.check_files_differ(state.config.kv, state.shards)
end

-- Where two programs could give one key to two shards, nothing but its hash may decide.
local function check_claims(settings, family)
  if not config.is_table_kv(settings.kv) or settings.kv.compare_and_set then return end
  local why = "needs a table KV with compare_and_set, by which of two programs that place one key only one wins"
  if family ~= "hash" then
    errors.raise("CONFIG", { field = "strategy" }, "strategy %s; without it only \"hash\" is possible", why)
  end
  for i, shard in ipairs(settings.shards) do
    if shard.max_size then
      errors.raise("CONFIG", { field = ("shards[%d].max_size"):format(i) }, "shards[%d].max_size %s", i, why)
    end
  end
end

local function open_directory(state)
  local settings = state.config
  local opened = directory.open(settings.kv, settings.mapping_secret, settings)
  if not settings.publish then return opened end
  local publish = require "collegedb.publish"
  return publish.over(opened, settings.publish, settings, function(...) state:emit(...) end)
end

-- Files that are there are opened first, and new ones made when nothing else can refuse any more.
local function open_parts(state)
  local settings = state.config
  state:load_scripts()
  check_claims(settings, state:family())
  check_folders(settings)
  shards.check_files_differ(settings.kv, settings.shards)
  for index, shard in ipairs(settings.shards) do
    state.shards[index], state.by_name[shard.name] = shard, index
    if not shards.is_file(shard.value.path) or core.file_id(shard.value.path) then shards.open(state, shard) end
  end
  state.directory = open_directory(state)
  state.directory:hold(function()
    add_added(state)
    check_known_files(state)
  end)
  local later = epochs.reconcile(state.directory, state.shards, state:family(),
    function() open_missing(state) end, function() schema.welcome(state) end)
  state:read_epoch()
  state:refresh_catalog()
  if later then growing.follow_config(state) end
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
    local name = state.shards[index].name
    state:emit("strangers", ("%s has rows that the directory does not know of"):format(name), { shard = name })
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
  if not state.directory.keeps_journal then return end
  local rows = state.directory.journal:all [[SELECT s.name FROM _collegedb_jobs AS j JOIN _collegedb_shards AS s
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
        report.conflict_count), { shard = shard.name })
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
      if note then state:emit("unindexed", ("shard %s, %s"):format(shard.name, note), { shard = shard.name }) end
    end
  end
end

-- Where a strict read trusts the cache, the shard must still remember a key that has left meanwhile.
local function cache_life(settings, dir)
  local life = math.min(settings.mapping_cache_ttl, dir:cache_life())
  if settings.consistency == "strict" then life = math.min(life, settings.forward_retention) end
  return math.floor(math.min(life * 1000, LIFE_MAX))
end

--- Opens a database; see docs/config.md.
---@param given table
---@return userdata db
function instance.open(given)
  local settings = config.normalize(given)
  local state = State.new(settings)
  local db
  local opened, err = pcall(function()
    open_parts(state)
    local handles = {}
    for index, shard in ipairs(state.shards) do handles[index] = shard.handle end
    db = core.router(state, handles, router.resolve, router.describe, {
      cache_size = settings.mapping_cache_size,
      life_ms = cache_life(settings, state.directory), check_keys = settings.check_keys,
      strict = settings.consistency == "strict",
      slow_ns = settings.slow_query and math.ceil(settings.slow_query * 1e9),
      moved = moved.run,
    })
    state.weak.db = db
    if settings.slow_query_log then core.write_slow_queries(db, settings.slow_query_log) end
    if settings.statistics_dir then
      core.write_statistics(db, settings.statistics_dir)
      settings.statistics_dir = core.real_path(settings.statistics_dir) -- the program may go to another folder
    end
    state:publish_catalog(db)
    state:read_epoch()
    if state.directory.keeps_journal then
      mend.run(state)
      recovery.run(state)
      recovery.forget(state)
      growing.recover(state)
    end
    check_identity(state)
    tell_unindexed(state)
    if state.directory.ask then require("collegedb.published_keys").begin(state) end
    integrate_all(state)
    core.count_from_now(db)
  end)
  if opened then return db end
  if db then core.close_router(db) end
  close_parts(state)
  error(err, 0)
end

core.on_attention(function(state)
  slow_queries.tell(state)
  background.attend(state)
end)

--- Closes the database; open loops over it end with CLOSED. Closing twice is allowed.
---@param db userdata
function instance.close(db)
  if not core.is_open(db) then return end
  local state = core.close_router(db) -- news of the background are for the next open: nothing is begun here
  local told, interrupt = pcall(slow_queries.tell, state)
  close_parts(state)
  if not told then error(interrupt, 0) end
end

return instance
