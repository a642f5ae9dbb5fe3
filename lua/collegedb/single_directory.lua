--- A directory on a shard without transactions over several statements, such as a D1 database that programs on several
-- machines share: the interface and the tables of lua/collegedb/directory.lua. Each statement is a request, so whatever
-- can be is one statement; and one whose answer was lost is sent again, so each is such that this does no harm.
--
-- The record is read into a mirror and changed by one statement (lua/collegedb/single_record.lua); who is there is told
-- by leases (lua/collegedb/single_presence.lua); the tables and the statement are in lua/collegedb/single_tables.lua.
-- Entries are asked for one by one in lua/collegedb/single_entries.lua.

local core = require "collegedb.core"
local directory = require "collegedb.directory"
local settings = require "collegedb.directory_settings"
local errors = require "collegedb.errors"
local patience = require "collegedb.patience"
local presence = require "collegedb.single_presence"
local record = require "collegedb.single_record"
local single_entries = require "collegedb.single_entries"
local single_store = require "collegedb.single_store"
local single_turns = require "collegedb.single_turns"
local tables = require "collegedb.single_tables"
local turns = require "collegedb.turns"

local single_directory = {}

local ATTEMPTS <const> = 200      -- at a change, while others change the record
local PATIENCE <const> = 30       -- seconds, for work that only one may do

---@class collegedb.SingleDirectory
local Directory = setmetatable({ keeps_journal = true,
  foreground = "the directory is no file that a second connection could open" }, { __index = directory.class })

-- The record's tables are brought up to date when they are asked for.
function Directory.__index(self, name)
  if name == "shard" then
    self.record:refresh()
    return self.record.mirror
  end
  return Directory[name]
end

-- --- opening and closing ----------------------------------------------------------------------

local function make_tables(store)
  local there = {}
  for row in store:each "SELECT name FROM sqlite_schema WHERE substr(name, 1, 11) = '_collegedb_'" do
    there[row.name] = true
  end
  if there._collegedb_user_comes then return end -- the last one
  for _, sql in ipairs(tables.statements(directory.statements())) do
    local name = sql:match "^CREATE %u+ IF NOT EXISTS (%S+)"
    if not name or not there[name] then store:run(sql) end
  end
end

--- Is there a directory on the shard?
function single_directory.exists(shard)
  return single_store.new(shard):first "SELECT 1 AS yes FROM sqlite_schema WHERE name = '_collegedb_change_made'" ~= nil
end

--- Opens or creates the directory on a shard.
---@param shard userdata with core.is_single
---@param secret string? mapping_secret
---@param owned boolean? it is closed with the directory
---@param entries collegedb.SingleEntries? where those are, if not in its table
---@param bare boolean? without keyspaces
---@return collegedb.SingleDirectory
function single_directory.open(shard, secret, owned, entries, bare)
  local store = single_store.new(shard)
  local self = setmetatable({ path = core.shard_name(shard), secret = secret, store = store, journal = store,
    owned = owned and shard, record = record.new(store), rows = entries or single_entries.new(store) }, Directory)
  if not self.rows.rotate then self.rotate = false end
  local done, err = pcall(function()
    make_tables(store)
    self:hold(settings.check_single, self, bare or false)
    self.presence = presence.new(store)
    self.presence:enter()
  end)
  if done then return self end
  self:close()
  error(err, 0)
end

local function no() return false end

-- In the place of a presence: nobody knows of it, and so nothing may be remembered by it.
local ABSENT <const> = { keep = no, claim = no, leave = no, work_in = function() return true end,
  remaining = function() return 0 end }

--- The directory on a shard, for who only reads it: nothing is made, and others do not see that somebody is there.
---@param shard userdata with core.is_single, and a directory; it stays open
---@param secret string? mapping_secret
---@param entries collegedb.SingleEntries? where those are, if not in its table
---@param bare boolean without keyspaces
---@return collegedb.SingleDirectory
function single_directory.look(shard, secret, entries, bare)
  local store = single_store.new(shard)
  local self = setmetatable({ path = core.shard_name(shard), secret = secret, store = store, journal = store,
    record = record.new(store), rows = entries or single_entries.new(store), presence = ABSENT }, Directory)
  local done, err = pcall(self.hold, self, settings.check_seen, self, bare)
  if done then return self end
  self:close()
  error(err, 0)
end

function Directory:close()
  if self.presence then self.presence:leave() end
  self.store:close()
  self.record:close()
  if self.owned then core.close(self.owned) end
end

-- --- who is there -------------------------------------------------------------------------------

function Directory:alone(f) return self.presence:alone(f) end

--- What another program has changed while this one was not there it could not follow, as one that is there could have
-- kept it from being done: then the database is to be opened again.
local function check_return(self)
  for row in self.record.mirror:each "SELECT id, name, keyspace, integrated, settings FROM _collegedb_shards" do
    local known = self.known and self.known[row.id]
    local changed = known and known.keyspace ~= row.keyspace
    if self.known and (changed or not (known or row.settings or row.integrated == 1)) then
      errors.raise("UNAVAILABLE", { shard = row.name }, "shard %s %s while this program did not use the directory %s "
        .. "for a while; open the database again", row.name, changed and "got another keyspace" or "came", self.path)
    end
  end
end

-- The shards as they are seen while it is certain that nobody can be alone.
local function remember_shards(self)
  self.known = {}
  for row in self.record.mirror:each "SELECT id, keyspace FROM _collegedb_shards" do
    self.known[row.id] = { keyspace = row.keyspace }
  end
end

-- Whoever only entered again since its lease ran out, as for a piece of work, is not seen working in its placement yet.
local function has_stayed(here) return here:keep() and not here.lapsed end

function Directory:work_in(number)
  local here = self.presence
  local stayed = here:remaining() > 0 and has_stayed(here)
  if not stayed then check_return(self) end
  if here:work_in(number) then
    remember_shards(self)
    return true
  end
  self.record.seen = false
  return false
end

function Directory:without_workers(_, last, f)
  if not self.presence:is_over(last + 1) then return false end
  f()
  return true
end

--- Seconds that a program may remember for where a key is.
function Directory.cache_life() return (presence.lease - presence.margin) * 0.4 end

--- May what was just decided be remembered?
function Directory:lasts() return self.presence:remaining() > self.cache_life() end

function Directory:stay() self.presence:keep() end

function Directory:claim_work(number) return self.presence:claim(number) end
function Directory:release_work(number) self.presence:release(number) end
function Directory:work_taken_for(number) return self.presence:taken_for(number) end

--- Runs `f` while nobody else does who asked for the same: forward.revive.
function Directory:exclusively(f)
  local number <const> = -1
  local waiting = patience.new(PATIENCE)
  while not self.presence:claim(number) do
    if not waiting:wait() then
      errors.raise("BUSY", nil, "another program changes where keys of the directory %s are", self.path)
    end
  end
  local done, err = pcall(f)
  self.presence:release(number)
  if not done then error(err, 0) end
end

-- --- the record -------------------------------------------------------------------------------------

--- Runs `f(…)`, which sees the record as it was at its first look: one request.
function Directory:hold(f, ...) return self.record:hold(f, ...) end

function Directory:epoch()
  self.record:refresh()
  return self.record.number
end

-- Sends what a change is: the record's rows, and what f and after said of entries.
local function send(self, id, what, any)
  for name, value in pairs(self.operations.what) do what[name], any = value, true end
  if not any then return "nothing" end
  local alone = self.presence.is_alone
  return self.store:change { id = id, version = self.record.version, user = alone and self.presence.id or nil,
    alone = alone and 1 or nil, what = what, digests = self.operations.digests }
end

--- Changes the record by `f(tx)`, on the mirror, and entries and names by `after(tx)`; all of it by one statement. Both
-- run again when another program was quicker.
---@param f fun(tx: userdata): boolean whether this makes the next epoch
---@param after fun(tx: userdata)?
---@return boolean changed, string id of the change
function Directory:change(f, after)
  local waiting
  for _ = 1, ATTEMPTS do
    local id = single_store.name()
    if self.presence.is_alone then self.presence:keep() end
    self.record.seen = false
    self.record:refresh()
    self.operations = { what = {} }
    local done, answer = self.record:try(f, after, function(what, any) return send(self, id, what, any) end)
    if done then return answer, id end
    if answer == "lapsed" then
      errors.raise("BUSY", nil, "this program did not use the directory %s for a while in which it was to be alone: "
        .. "try again", self.path)
    end
    waiting = waiting or patience.new(PATIENCE)
    waiting:wait()
  end
  errors.raise("BUSY", nil, "the directory %s changes faster than it can be written", self.path)
end

-- --- single entries ---------------------------------------------------------------------------------

local function digest_of(self, keyspace, text) return core.digest(keyspace, text, self.secret) end

-- What foreseeing has read of a key; for the look itself, and for some of others'.
local function foreseen(self, digest)
  local row = self.foreseen and self.foreseen[digest]
  if not row or row.uses == 0 then return nil end
  row.uses = row.uses - 1
  return row
end

--- The epoch, and shard id and version of the key's entry if it has one. The epoch is 0 when the caller must read it
-- anew, since this program's lease had run out.
function Directory:lookup(keyspace, text)
  local kept, digest = has_stayed(self.presence), digest_of(self, keyspace, text)
  local row = foreseen(self, digest) or self.rows:lookup(digest)
  if not row then errors.raise("CORRUPT", nil, "the directory %s has lost its epoch", self.path) end
  return kept and row.epoch or 0, row.shard, row.version
end

function Directory:claim(keyspace, text, id, epoch)
  turns.check_none(self)
  local row = self.rows:claim(digest_of(self, keyspace, text), id, epoch)
  if row then return row.shard, row.version end
end

--- The same with turns: single_entries.claim_with.
function Directory:claim_with(taken, keyspace, text, id, epoch)
  return self.rows:claim_with(taken, digest_of(self, keyspace, text), id, epoch)
end

--- Gives a new key to the next of some shards: false instead where entries can not do that.
function Directory:rotate(name, keyspace, text, ids, epoch)
  turns.check_none(self)
  return self.rows:rotate(name, digest_of(self, keyspace, text), ids, epoch)
end

function Directory:replace(keyspace, text, version, id)
  return self.rows:replace(digest_of(self, keyspace, text), version, id)
end

function Directory:correct(keyspace, text, version, id)
  if version == nil then return self:replace(keyspace, text, nil, id) end
  return self.rows:correct(digest_of(self, keyspace, text), version, id)
end

-- --- many entries ------------------------------------------------------------------------------------

function Directory:publish(keyspace, texts, id, number, digests, home)
  local places = {}
  for i in ipairs(texts) do places[i] = { id, number } end
  self.rows:publish(digests or self:digests(keyspace, texts), places, home)
end

function Directory:publish_all(list)
  local digests, places = {}, {}
  for i, each in ipairs(list) do
    digests[i], places[i] = digest_of(self, each.keyspace, each.text), { each.id, each.version }
  end
  self.rows:publish(table.concat(digests), places)
end

--- The entries of many keys: single_entries.known.
---@param digests string
function Directory:entries_of(digests) return self.rows:known(digests) end

--- Runs `f`, in which some keys will be looked up: their entries are read now, in one request.
---@param keys { keyspace: string, text: string }[]
---@param f fun()
function Directory:foreseeing(keys, f)
  if self.foreseen or #keys < 2 then return f() end
  local digests = {}
  for i, each in ipairs(keys) do digests[i] = digest_of(self, each.keyspace, each.text) end
  local found, epoch = self:entries_of(table.concat(digests))
  self.foreseen = {}
  for i, digest in ipairs(digests) do
    local row = found[i] or {}
    self.foreseen[digest] = { epoch = epoch, shard = row.shard, version = row.version, uses = 3 }
  end
  local done, err = pcall(f)
  self.foreseen = nil
  if not done then error(err, 0) end
end

-- Those that have no entry, each once.
local function only_new_of(self, list, digests)
  local found, seen, new, new_digests = self:entries_of(table.concat(digests)), {}, {}, {}
  for i, each in ipairs(list) do
    if not found[i] and not seen[digests[i]] then
      seen[digests[i]] = true
      new[#new + 1], new_digests[#new + 1] = { each.id, 1 }, digests[i]
    end
  end
  return new, new_digests
end

function Directory:assign(list, only_new, tx)
  local count
  if not tx then
    self:change(function() return false end, function(inner) count = self:assign(list, only_new, inner) end)
    return count
  end
  local digests, items = {}, {}
  for i, each in ipairs(list) do digests[i], items[i] = digest_of(self, each.keyspace, each.text), each.id end
  if only_new then items, digests = only_new_of(self, list, digests) end
  if #items > 0 then
    self.operations.what[only_new and "fresh" or "assign"] = items
    self.operations.digests = table.concat(digests)
  end
  return #items
end

function Directory:forget(keyspace, text)
  local digest, removed = digest_of(self, keyspace, text), false
  self:change(function(tx)
    local row = self:entries_of(digest)[1]
    removed = row ~= nil
    if not removed then return false end
    self.operations = { what = { forget = { { row.shard, row.version } } }, digests = digest }
    tx:run("UPDATE _collegedb_shards SET integrated = 0 WHERE id = ?", { row.shard })
    return true
  end)
  return removed
end

--- Inside a change: the entries that were found in the data of a shard end, or all entries.
function Directory:void(_, id)
  local what = self.operations.what
  if not id then what.all = 1 return end
  what.void = what.void or {}
  table.insert(what.void, id)
end

--- Inside a change: all entries of a shard end.
function Directory:drop(_, id) self.operations.what.drop = { id } end

function Directory:discard(id)
  if not id and not self.rows:any() then return 0 end
  local _, name = self:change(function(tx)
    self:void(tx, id)
    tx:run("UPDATE _collegedb_shards SET integrated = 0, conflicts = 0 WHERE id = coalesce(?, id)", { id or core.null })
    return true
  end)
  return self.store:count_of(name)
end

function Directory:counts() return self.rows:counts() end
function Directory:count_found(id) return self.rows:count_found(id) end

--- Inside a change: it is made only if no entry names the shard.
function Directory:check_unused(_, id)
  local what = self.operations.what
  what.unused = what.unused or {}
  table.insert(what.unused, id)
end

-- --- names and turns ------------------------------------------------------------------------------------

for _, name in ipairs { "add_names", "set_names" } do
  Directory[name] = function(self, names, tx)
    if tx then return directory.class[name](self, names, tx) end
    self:change(function(inner)
      directory.class[name](self, names, inner)
      return false
    end)
  end
end

function Directory:count_on(name, n)
  local row = n == 0 and self.store:first("SELECT value FROM _collegedb_counters WHERE name = ?", { "turn:" .. name })
    or n > 0 and self.store:first([[INSERT INTO _collegedb_counters VALUES (?1, ?2)
      ON CONFLICT DO UPDATE SET value = value + ?2 RETURNING value]], { "turn:" .. name, n })
  return row and row.value - n or 0
end

function Directory:turns() return single_turns.new(self) end

-- --- the journal --------------------------------------------------------------------------------------------

local BEGIN_MOVE <const> = [[INSERT INTO _collegedb_moves SELECT 1 + max(?1,
    coalesce((SELECT value FROM _collegedb_counters WHERE name = 'move'), 0),
    coalesce((SELECT max(version) FROM _collegedb_entries WHERE digest IN
      (SELECT substr(?2, 1 + 16 * value, 16) FROM json_each(?3))), 0)), ?4, ?5, ?6, ?7, unixepoch() + ?8, ?9
  WHERE (SELECT value FROM _collegedb_counters WHERE name = 'epoch') = ?7
  ON CONFLICT (name) DO UPDATE SET lease = excluded.lease RETURNING number]]

function Directory:begin_move(move)
  self.presence:keep()
  local floor = math.max(move.floor, self.rows:newest(move.digests))
  local row = self.store:first(BEGIN_MOVE, { floor, core.blob(move.digests),
    single_store.numbers(#move.digests // 16), move.keyspace, move.source, move.target, move.epoch, move.lease,
    single_store.name() })
  return row and row.number
end

--- Runs `f(tx)`, whose statements may each be repeated, if the work is still this program's.
---@param number integer of claim_work
function Directory:journaled(f, number)
  if not self.presence:keep() then self.presence:enter() end
  if not self.presence:holds(number) then
    errors.raise("CONFLICT", nil, "another program has taken this work over, since nothing was heard of this one for "
      .. "%d s", presence.lease)
  end
  return f(self.store)
end

function Directory:note_verdicts(job, verdicts, judged)
  self.store:change { id = single_store.name(), what = { job = job, verdicts = verdicts, judged = judged } }
end

function Directory:takeover(plan) return require("collegedb.single_takeover").new(self, plan) end

return single_directory
