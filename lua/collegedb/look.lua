--- A look at a set-up from outside, for who tells how it is: what can be reached is opened to be read, and of the rest
-- it is known why not. Nothing is made, placed, taken over or recovered, and other programs do not see that somebody
-- looks, so that none of them waits for it.

local catalog = require "collegedb.catalog"
local config = require "collegedb.config"
local core = require "collegedb.core"
local directory = require "collegedb.directory"
local settings = require "collegedb.directory_settings"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local shards = require "collegedb.shards"
local stats = require "collegedb.stats"
local State = require "collegedb.state"

local look = {}

local SECONDS <const> = 10 -- for one question to a service
local BUSY_MS <const> = 1000

---@class collegedb.LookedAt one shard
---@field shard table of a normalized config
---@field index integer? in `state.shards`; nil when it was not reached
---@field latency number? ms of the first question
---@field new boolean? there is no file yet, and the directory does not know of it
---@field registered boolean? the directory knows of it
---@field error collegedb.Error?

---@class collegedb.Look
---@field shards collegedb.LookedAt[] in the order of the config; then those that were added while programs ran
---@field state collegedb.State of the shards that were reached; its directory and epoch are missing where none was
---@field problems { about: "directory"|"scripts", error: collegedb.Error }[]
---@field is_new boolean there is no directory yet
local Look = {}
Look.__index = Look

--- Calls `f`. Nil and the error when it fails with an error object; others, such as Ctrl-C, pass.
local function tried(f, ...)
  local done, answer = pcall(f, ...)
  if done then return answer end
  if not errors.is_error(answer) then error(answer, 0) end
  return nil, answer
end

look.tried = tried

--- Opens a database of which nothing shows to others: no observer, no numbers, no log, and nothing is taken over.
--- Opening ends the moves of dead programs all the same, makes what is not there, and takes weights into use.
---@param given table a config
---@return userdata? db
---@return collegedb.Error? err
function look.open_database(given)
  local quiet = {}
  for field, value in pairs(given) do quiet[field] = value end
  quiet.auto_migrate = false
  quiet.on_event, quiet.statistics_dir, quiet.slow_query_log = nil, nil, nil
  return tried(require("collegedb").open, quiet) -- not loaded by who only looks
end

--- Does the config have other shards or weights, or another strategy, than keys are placed by? An open would take them
-- into use.
---@param seen table of look.open
---@return boolean
function look.differs(seen)
  local state, list = seen.state, {}
  if not state.directory or not state.directory.shard then return false end
  for i, each in ipairs(seen.shards) do list[i] = each.shard end
  return epochs.differs(state.directory.shard, list, state:family())
end

-- Who may not write a file still sees what is in it; but not what others write from then on, so that the next look
-- opens it anew.
local function open_file(self, path, name)
  shards.check_folder(name, path)
  local facts = core.file_facts(path)
  local read_only = facts ~= nil and not facts.writable
  self.frozen = self.frozen or read_only
  local size = core.file_size(path)
  if not size then errors.raise("UNAVAILABLE", { shard = name }, "there is no file %s", path) end
  return core.sqlite(path, { name = name, must_exist = 1, read_only = read_only, busy_timeout_ms = BUSY_MS,
    journal_mode = size == 0 and "delete" or nil }) -- an empty file would be made one in WAL mode
end

-- --- the directory ------------------------------------------------------------------------

local NO_RECORD <const> = "SELECT 1 AS yes FROM sqlite_schema WHERE name = '_collegedb_counters'"

local function file_directory(self, path, secret)
  if not core.file_id(path) then
    self.is_new = true
    return nil
  end
  local shard = open_file(self, path, "the directory")
  self.owned[#self.owned + 1] = shard
  if not shard:first(NO_RECORD) then
    self.is_new = true
    return nil
  end
  -- Without the lock that says that a program is there.
  local dir = setmetatable({ path = path, file = path, secret = secret, shard = shard, journal = shard,
    lock_path = core.real_path(path) .. "-users", entries = core.directory(shard, secret), inner = core.inner(shard) },
    directory.class)
  settings.check_seen(dir, self.config.keyspaces == false)
  return dir
end

local function single_directory(self, kv, secret)
  local single = require "collegedb.single_directory"
  local shard = kv
  if type(kv) == "table" and shards.is_file(kv.path) and not core.file_id(kv.path) then
    self.is_new = true
    return nil
  elseif type(kv) == "table" then
    shard = kv:open(tostring(kv):sub(1, 127), SECONDS)
    self.owned[#self.owned + 1] = shard
  end
  if not single.exists(shard) then
    self.is_new = true
    return nil
  end
  return single.look(shard, secret, kv ~= shard and kv.entries and kv:entries() or nil, self.config.keyspaces == false)
end

local function table_directory(self, kv, secret)
  local dir = require("collegedb.kv_directory").look(kv, secret, self.config)
  local done, err = pcall(dir.epoch, dir)
  if done and dir.record.text then return dir end
  dir.record:close()
  if not done then error(err, 0) end
  self.is_new = true
end

local function open_directory(self)
  local kv, secret = self.config.kv, self.config.mapping_secret
  if type(kv) == "userdata" or config.is_shard_value(kv) then return single_directory(self, kv, secret) end
  if type(kv) == "table" then return table_directory(self, kv, secret) end
  if kv == "memory:" or kv == ":memory:" then
    self.is_new = true
    return nil
  end
  return file_directory(self, kv, secret)
end

-- --- the shards ------------------------------------------------------------------------------

-- Its handle is there where it could be opened.
local function open_shard(self, each)
  local shard = each.shard
  local value = shard.value
  local row = self.directory and self.directory.shard:first("SELECT id FROM _collegedb_shards WHERE name = ?",
    { shard.name })
  each.registered, shard.id = row ~= nil, row and row.id
  shard.handle, shard.file_id = nil, nil -- of an earlier look
  if not row and shards.is_file(value.path) and not core.file_id(value.path) then
    shards.check_folder(shard.name, value.path)
    each.new = true
    return
  end
  if not value.handle and not value.remote and not shards.is_file(value.path) then
    each.new = true -- in memory: of each program its own
    return
  end
  shard.handle = value.handle or value.remote and value.remote:open(shard.name, SECONDS)
    or open_file(self, value.path, shard.name)
  shard.file_id = shards.is_file(value.path) and core.file_id(value.path) or nil
  if not value.handle then self.owned[#self.owned + 1] = shard.handle end
  shard.inner, shard.single = core.inner(shard.handle), core.is_single(shard.handle)
  shard.is_empty = function() return stats.is_empty(shard.inner) end
  if row then shards.check_not_lost(self.directory, shard) end
end

local function open_shards(self)
  local list = table.move(self.config.shards, 1, #self.config.shards, 1, {})
  local named = {}
  for _, shard in ipairs(list) do named[shard.name] = true end
  local added = self.directory and tried(shards.added, self.directory) or {}
  for _, shard in ipairs(added) do
    if not named[shard.name] then list[#list + 1] = shard end
  end
  for i, shard in ipairs(list) do
    self.shards[i] = { shard = shard }
    self.shards[i].error = select(2, tried(open_shard, self, self.shards[i]))
  end
end

-- One request, and one that SQLite can not answer without the file.
local HERE <const> = "SELECT 'yes' || count(*) AS here FROM sqlite_schema"
local TIMED <const> = 25 -- services whose latency is measured, one after the other

-- How long each takes to answer, of those that do.
local function time_shards(asked)
  local far = 0
  for _, each in ipairs(asked) do
    if core.kind(each.shard.inner) == "d1" then far = far + 1 end
  end
  for _, each in ipairs(asked) do
    if not each.error and (far <= TIMED or core.kind(each.shard.inner) ~= "d1") then
      local answer, err = tried(each.shard.inner.run, each.shard.inner, HERE)
      each.latency, each.error = answer and answer.meta.duration, err
    end
  end
end

-- A file that was removed or replaced can still be read by those who have it open.
local function missing(shard)
  local path = shard.value.path
  if not shards.is_file(path) or core.file_id(path) == shard.file_id then return end
  return errors.new("UNAVAILABLE", ("there is no file %s any more, or another one"):format(path),
    { shard = shard.name })
end

local function first_of(names)
  return #names <= 3 and table.concat(names, ", ") or ("%s and %d more"):format(table.concat(names, ", ", 1, 2),
    #names - 2)
end

-- Asks all of them at once first (the core sends 16 requests at a time), so that many that do not answer take hardly
-- longer than one.
local function ask_shards(self)
  local calls, asked, far = {}, {}, {}
  for _, each in ipairs(self.shards) do
    if each.shard.handle and not each.error then
      asked[#asked + 1] = each
      calls[#calls + 1] = { each.shard.inner, HERE }
      if each.shard.value.remote then far[#far + 1] = each.shard.name end
    end
  end
  if #far > 0 then self.tell("waiting for " .. first_of(far), #far) end
  local _, failed = core.together(calls, "first")
  for i, each in ipairs(asked) do
    if failed[i] and not errors.is_error(failed[i]) then error(failed[i], 0) end -- Ctrl-C
    each.error = failed[i] or missing(each.shard)
  end
  time_shards(asked)
end

-- --- the state ----------------------------------------------------------------------------------

local function note(self, about, err)
  if err then self.problems[#self.problems + 1] = { about = about, error = err } end
end

-- Those that the directory knows are first: the epoch is of them.
local function add_reached(self)
  local state, known = self.state, 0
  for _, registered in ipairs { true, false } do
    for _, each in ipairs(self.shards) do
      local reached = each.shard.handle and not each.error
      if reached and (each.registered or false) == registered then
        state.shards[#state.shards + 1] = each.shard
        each.index, state.by_name[each.shard.name] = #state.shards, #state.shards
        known = registered and #state.shards or known
      end
    end
  end
  return known
end

-- What is read anew when others may have changed it.
local function read(self, known)
  local state = self.state
  if self.directory then
    state.epoch = epochs.read(self.directory, table.move(state.shards, 1, known, 1, {}))
  end
end

local function make_state(self)
  local state = State.new(self.config)
  self.state, state.directory = state, self.directory
  note(self, "scripts", select(2, tried(state.load_scripts, state)))
  if not state.rules then
    local hash = require "collegedb.strategies.hash"
    state.strategy, state.rules = { read = hash, write = hash }, require "collegedb.rules.default"
  end
  self.known = add_reached(self)
  note(self, "directory", select(2, tried(read, self, self.known)))
  note(self, "scripts", select(2, tried(state.refresh_catalog, state)))
  state.catalog = state.catalog or catalog.build({}, state.rules, self.config.script_limit)
end

--- The shards that the directory alone names, since they were added while programs ran; none where it is not reached.
---@param given table a normalized config
---@return table[] # as of a normalized config
function look.added(given)
  local self = setmetatable({ config = given, owned = {} }, Look)
  local done, answer = pcall(function()
    self.directory = tried(open_directory, self)
    return self.directory and tried(shards.added, self.directory) or {}
  end)
  self:close()
  if not done then error(answer, 0) end
  return answer
end

--- Opens what a config names. Close it again.
---@param given table a normalized config
---@param tell fun(what: string, of: integer)? is told what it waits for, and for how many
---@return collegedb.Look
function look.open(given, tell)
  local self = setmetatable({ config = given, shards = {}, owned = {}, problems = {}, is_new = false,
    tell = tell or function() end }, Look)
  local done, err = pcall(function()
    local problem
    if type(given.kv) ~= "string" then self.tell("waiting for the directory", 1) end
    self.directory, problem = tried(open_directory, self)
    note(self, "directory", problem)
    open_shards(self)
    ask_shards(self)
    make_state(self)
  end)
  if done then return self end
  self:close()
  error(err, 0)
end

-- Were shards added while programs ran?
local function has_more(self)
  local known = {}
  for _, each in ipairs(self.shards) do known[each.shard.name] = each.registered end
  for _, row in ipairs(self.directory and self.directory.shard:all "SELECT name FROM _collegedb_shards" or {}) do
    if known[row.name] == false then return true end
  end
  for _, shard in ipairs(self.directory and shards.added(self.directory) or {}) do
    if known[shard.name] == nil then return true end
  end
  return false
end

--- Looks again, through what is open.
---@return boolean # false when something came or went: then it must be opened anew
function Look:refresh()
  if self.frozen then return false end
  ask_shards(self)
  if not self:is_whole() then return false end
  local answer, err = tried(function()
    read(self, self.known)
    self.state:refresh_catalog()
    return not has_more(self)
  end)
  return not err and answer
end

--- Is every shard there, and the directory too?
function Look:is_whole()
  for _, each in ipairs(self.shards) do
    if not each.index or each.error then return false end
  end
  return self.state.epoch ~= nil
end

function Look:close()
  for _, shard in ipairs(self.owned) do core.close(shard) end
  if self.directory and self.directory.record then self.directory.record:close() end
  self.owned, self.directory = {}, nil
end

return look
