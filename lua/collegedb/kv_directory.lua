--- A directory in a table KV: the interface of lua/collegedb/directory.lua. Every
-- entry is a value of its own, in the form of the TypeScript library (lua/collegedb/kv_format.lua); the record is one
-- value, mirrored into tables in memory (lua/collegedb/kv_record.lua), so that it is read by the same SQL as that of a
-- SQLite directory. Whatever is written, is written by the KV's compare_and_set, one value at a time;
-- docs/decisions.md says what that guarantees.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local format = require "collegedb.kv_format"
local kv_turns = require "collegedb.kv_turns"
local record = require "collegedb.kv_record"
local store = require "collegedb.kv_store"
local takeover = require "collegedb.kv_takeover"
local turns = require "collegedb.turns"
local users = require "collegedb.kv_users"

local kv_directory = {}

local ATTEMPTS = 200
local PASSES = 64 -- the worst KV passes every second name over

---@class collegedb.KVDirectory
local Directory = { foreground = "a table KV can be called on the program's own thread only" }

-- The record's tables are brought up to date when they are asked for.
function Directory.__index(self, name)
  if name == "shard" then
    self.record:refresh()
    return self.record.mirror
  end
  return Directory[name]
end

local function busy(what)
  errors.raise("BUSY", nil, "%s in the table KV changes faster than it can be written", what)
end

-- --- the record ---------------------------------------------------------------------------

--- Changes the record by `f(tx)`, which runs again whenever another process was
-- quicker; then runs `after()`, whose entries and names are written one by one.
---@param f fun(tx: userdata): boolean whether this makes the next epoch
---@param after fun()?
function Directory:change(f, after)
  local changed, new_names = self.record:change(f)
  if new_names then self:add_names {} end
  if after then after() end
  return changed
end

function Directory:epoch()
  self.record:refresh()
  return self.record.number
end

-- Placements in a table KV are made anew only while nobody else is there.
function Directory.work_in() return true end
function Directory.cache_life() return math.huge end
function Directory.lasts() return true end
function Directory.hold(_, f, ...) return f(...) end
function Directory.foreseeing(_, _, f) f() end

--- Is a shard of this name registered?
function Directory:knows(name)
  self.record:refresh()
  return self.record.ids[name] ~= nil
end

--- The name of a shard; one that only entries name has a number below 0 in this process.
function Directory:name_of(id) return self.record.shard_names[id] or self.strangers[id] end

local function id_of(self, name)
  local id = self.record.ids[name] or self.strangers[name]
  if id then return id end
  self.stranger_count = self.stranger_count + 1
  id = -self.stranger_count
  self.strangers[id], self.strangers[name] = name, id
  return id
end

-- --- single entries -----------------------------------------------------------------------

-- Has it ended by a mark in the record? One without an epoch is another program's, and is adopted before it is marked.
local function is_void(self, name, entry)
  if not entry.epoch then return false end
  local record_of = self.record
  local id = record_of.ids[entry.shard]
  local void = entry.version == 0 and record_of.voids[entry.shard] or 0
  local ended = id and record_of.ended[("%d:%s"):format(id, name)] or 0
  return entry.epoch < math.max(void, ended, record_of.void_all)
end

-- The entry if it stands, its name, the value found there, and the entry whose fields a new one keeps.
local function find(self, keyspace, text)
  local name, multikey = format.name(self.naming, keyspace, text)
  local raw = self.store:get(name)
  local entry, at = format.entry(name, raw), name
  if raw == nil and multikey then entry, at = format.entry(multikey, self.store:get(multikey)), multikey end
  local stands = entry and not is_void(self, at, entry)
  return stands and entry or nil, name, raw, raw and stands and entry or nil
end

-- Gives an entry of another program our fields, so that a mark can end it. Returns its text, or nil if it has changed.
local function adopt(self, name, raw, entry)
  local text = format.new_entry(entry.shard, entry.version, self.record.number, entry)
  return self.store:cas(name, raw, text) and text or nil
end

--- The epoch in which the answer was true, and shard id and version of the key's
-- entry if it has one: the record was the same before and after the entry was read.
function Directory:lookup(keyspace, text)
  for attempt = 1, ATTEMPTS do
    local entry = find(self, keyspace, text)
    if not self.record:refresh() then
      if not entry then return self.record.number end
      return self.record.number, id_of(self, entry.shard), entry.version
    end
    self.store:pause(attempt - 1)
  end
  busy "the record"
end

-- Writes an entry with this version unless the key has one. Returns the id that stands, and whether it was written;
-- nil without looking when the epoch is not `epoch`.
local function give(self, keyspace, text, id, version, epoch)
  for attempt = 1, ATTEMPTS do
    if self:epoch() ~= epoch then return nil, false end
    local entry, name, raw = find(self, keyspace, text)
    if entry then return id_of(self, entry.shard), false end
    if self.store:cas(name, raw, format.new_entry(self:name_of(id), version, epoch)) then return id, true end
    self.store:pause(attempt)
  end
  busy "an entry"
end

--- Raises an error where no claim may be made: while a turn is taken for another, and after close. Who has left is
-- not waited for by those that must be alone.
function Directory:check_claim()
  turns.check_none(self)
  if not self.user then errors.raise("CLOSED", nil, "the directory %s was closed", self.path) end
end

--- Gives the key to a shard unless it has an entry. Returns the id that stands, or
-- nil when the epoch is not `epoch` any more; and whether the entry is this one. One that was written just as the
-- epoch changed stays, and is what the caller finds when it decides again.
---@return integer? id, boolean written
function Directory:claim(keyspace, text, id, epoch)
  self:check_claim()
  local winner, written = give(self, keyspace, text, id, 1, epoch)
  if self:epoch() ~= epoch then return nil, written end
  return winner, written
end

-- Writes a key's entry if `accepts(entry)`; returns whether it was written.
local function write(self, keyspace, text, id, accepts)
  for attempt = 1, ATTEMPTS do
    local entry, name, raw, before = find(self, keyspace, text)
    if not accepts(entry) then return false end
    local new = format.new_entry(self:name_of(id), entry and entry.version + 1 or 1, self.record.number, before)
    if self.store:cas(name, raw, new) then return true end
    self.store:pause(attempt)
  end
  busy "an entry"
end

--- Sets the key's entry if its version is still `version` (nil: if it has none).
---@return boolean replaced
function Directory:replace(keyspace, text, version, id)
  self.record:refresh()
  return write(self, keyspace, text, id, function(entry) return (entry and entry.version) == version end)
end

-- There are no moves here whose number would count.
Directory.correct = Directory.replace

--- Sets the entries of keys, one by one.
---@return integer count
function Directory:assign(list, only_new)
  local count = 0
  for _, each in ipairs(list) do
    local set = write(self, each.keyspace, each.text, each.id, function(entry) return not (only_new and entry) end)
    if set then count = count + 1 end
  end
  return count
end

--- Writes the entry of a key that was found in existing data, if it has none.
-- Returns the id of the shard whose entry stands, and whether it was written now; nil in another epoch than `epoch`.
---@return integer? id, boolean created
function Directory:note(keyspace, text, id, epoch) return give(self, keyspace, text, id, 0, epoch) end

-- --- all entries ----------------------------------------------------------------------------

-- Calls f(name, entry) for every entry, a page of names in memory at a time.
local function each_entry(self, f)
  for _, prefix in ipairs(format.prefixes(self.naming)) do
    for names in self.store:pages(prefix) do
      for _, name in ipairs(names) do
        local entry = format.entry(name, self.store:get(name))
        if entry and not is_void(self, name, entry) then f(name, entry) end
      end
    end
  end
end

--- Entries by shard id. It reads all of them.
---@param tx userdata? of change
function Directory:counts(tx)
  local counts = {}
  if not tx then self.record:refresh() end
  each_entry(self, function(_, entry)
    local id = id_of(self, entry.shard)
    counts[id] = (counts[id] or 0) + 1
  end)
  return counts
end

--- How many entries discard(id) would end.
function Directory:count_found(id)
  local count = 0
  self.record:refresh()
  each_entry(self, function(_, entry)
    if entry.version == 0 and self.record.ids[entry.shard] == id then count = count + 1 end
  end)
  return count
end

--- The keys of a shard's entries, as far as names or entries tell them; and how many others there are.
---@return (string|userdata)[] keys, integer untold
function Directory:keys_of(name)
  local keys, untold = {}, 0
  self.record:refresh()
  each_entry(self, function(at, entry)
    if entry.shard ~= name then return end
    local key = format.key_of(self.naming, at, entry)
    if key then keys[#keys + 1] = key else untold = untold + 1 end
  end)
  return keys, untold
end

--- Inside a change that makes the next epoch: entries of epochs before it that were found in the
-- data of a shard (version 0) count as none from then on; without an id all of ours.
function Directory.void(_, tx, id)
  tx:run([[INSERT INTO _collegedb_counters SELECT coalesce((SELECT 'void:' || name FROM _collegedb_shards WHERE id = ?),
    'void'), value + 1 FROM _collegedb_counters WHERE name = 'epoch'
    ON CONFLICT DO UPDATE SET value = excluded.value]], { id or core.null })
end

-- Deletes what is left of entries that were removed, if nobody can be about to write one. Returns how many.
local function purge(self, names)
  local count = 0
  self.user:alone(function()
    for _, name in ipairs(names) do
      if self.store:get(name) == format.REMOVED then
        self.store:delete(name)
        count = count + 1
      end
    end
  end)
  return count
end

-- Ends an entry and has its shard probed again: both by one write of the record, which marks it.
local function finish(self, name, raw, shard)
  local id = self.record.ids[shard]
  local mark = id and ("ended:%d:%s"):format(id, name)
  if mark then
    self:change(function(tx)
      tx:run("UPDATE _collegedb_shards SET integrated = 0 WHERE id = ?", { id })
      tx:run([[INSERT INTO _collegedb_counters SELECT ?, value + 1 FROM _collegedb_counters WHERE name = 'epoch'
        ON CONFLICT DO UPDATE SET value = excluded.value]], { mark })
      return true
    end)
  end
  local removed = self.store:cas(name, raw, format.REMOVED)
  if mark then
    self:change(function(tx)
      tx:run("DELETE FROM _collegedb_counters WHERE name = ?", { mark })
      return false
    end)
  end
  return removed
end

--- Removes the key's entry, and has the shard that it named probed again.
---@return boolean removed
function Directory:forget(keyspace, text)
  self.record:refresh()
  for attempt = 1, ATTEMPTS do
    local entry, name, raw = find(self, keyspace, text)
    if not entry then return false end
    if not (raw and entry.epoch) then raw = adopt(self, name, raw, entry) end
    if raw and finish(self, name, raw, entry.shard) then
      local _, multikey = format.name(self.naming, keyspace, text)
      -- Without the value, a multikey entry would be found again.
      if not (multikey and self.store:get(multikey)) then purge(self, { name }) end
      return true
    end
    self.store:pause(attempt)
  end
  busy "an entry"
end

-- Adopts the entries of other programs; returns how many entries there are.
local function adopt_all(self)
  local count = 0
  for _, prefix in ipairs(format.prefixes(self.naming, true)) do
    for names in self.store:pages(prefix) do
      for _, name in ipairs(names) do
        local raw = self.store:get(name)
        local entry = format.entry(name, raw)
        if entry and not is_void(self, name, entry) then
          if prefix ~= format.MULTIKEY then count = count + 1 end
          if not entry.epoch then adopt(self, name, raw, entry) end
        end
      end
    end
  end
  return count
end

-- Removes what does not count any more among the names. Returns the names left of it, and the number.
local function remove(self, names)
  local removed, count = {}, 0
  for _, name in ipairs(names) do
    local raw = self.store:get(name)
    local entry = format.entry(name, raw)
    local goes = entry and is_void(self, name, entry) and self.store:cas(name, raw, format.REMOVED)
    if goes then count = count + 1 end
    if goes or (raw and not entry) then removed[#removed + 1] = name end
  end
  return removed, count
end

-- The same for all names, a page at a time. Deleting while the names are listed can make a KV pass names over,
-- so it is done until a pass deletes nothing.
local function sweep(self)
  local total = 0
  local function pass(prefix)
    local deleted = 0
    for names in self.store:pages(prefix) do
      local removed, count = remove(self, names)
      if prefix ~= format.MULTIKEY then total = total + count end
      if #removed > 0 then deleted = deleted + purge(self, removed) end
    end
    return deleted
  end
  for _, prefix in ipairs(format.prefixes(self.naming, true)) do
    for _ = 1, PASSES do
      if pass(prefix) == 0 then break end
    end
  end
  return total
end

--- Ends the entries found in a shard's data, or all entries, at once by a mark in the record; the shards are probed
-- again. Then the values are removed.
---@return integer count
function Directory:discard(id)
  self.record:refresh()
  if not id and adopt_all(self) == 0 then return 0 end
  self:change(function(tx)
    self:void(tx, id)
    tx:run("UPDATE _collegedb_shards SET integrated = 0, conflicts = 0 WHERE id = coalesce(?, id)", { id or core.null })
    return true
  end)
  return sweep(self)
end

function Directory:takeover(plan) return takeover.new(self, plan) end

-- --- turns and names ------------------------------------------------------------------------

--- Adds `n` to a counter and returns what it was before; 0 only reads it.
---@return integer
function Directory:count_on(name, n)
  for attempt = 1, ATTEMPTS do
    local value, raw = kv_turns.read(self.store, name)
    if n == 0 or kv_turns.set(self.store, name, raw, value + n) then return value end
    self.store:pause(attempt)
  end
  busy "the counter of turns"
end

--- For the allocation of one new key, as of lua/collegedb/directory.lua.
function Directory:turns() return kv_turns.new(self) end

-- Changes known_shards by f(names), which returns the new array.
local function change_names(self, f)
  for attempt = 1, ATTEMPTS do
    local raw = self.store:get(format.KNOWN_SHARDS)
    local new = format.array(f(format.known_shards(raw)))
    if new == raw or self.store:cas(format.KNOWN_SHARDS, raw, new) then return end
    self.store:pause(attempt)
  end
  busy "known_shards"
end

--- The names in known_shards without a record.
function Directory:names()
  local names = {}
  self.record:refresh()
  for _, name in ipairs(format.known_shards(self.store:get(format.KNOWN_SHARDS))) do
    if not self.record.ids[name] then names[#names + 1] = name end
  end
  return names
end

local function union(...)
  local out, seen = {}, {}
  for _, list in ipairs { ... } do
    for _, name in ipairs(list) do
      if not seen[name] then out[#out + 1] = name end
      seen[name] = true
    end
  end
  return out
end

local function recorded(self)
  local ids, names = {}, {}
  for id in pairs(self.record.shard_names) do ids[#ids + 1] = id end
  table.sort(ids)
  for i, id in ipairs(ids) do names[i] = self.record.shard_names[id] end
  return names
end

--- Adds names to known_shards, and those with a record.
function Directory:add_names(names)
  change_names(self, function(known) return union(known, recorded(self), names) end)
end

--- Makes known_shards these names, and those with a record.
function Directory:set_names(names)
  change_names(self, function() return union(recorded(self), names) end)
end

-- --- opening and closing --------------------------------------------------------------------

--- Runs `f` while no other instance has the directory open; false if one has.
function Directory:alone(f) return self.user:alone(f) end

function Directory:close()
  -- A KV that fails now must not keep the shards open; the list of users knows when this process has ended.
  if self.user then pcall(self.user.leave, self.user) end
  self.user = nil
  self.record:close()
end

-- What the names of entries depend on must stay as it was.
local function check_settings(self)
  local names = self.naming
  local settings = {
    { "secret", "mapping_secret", string.unpack("<i8", core.sha256("collegedb", names.secret)) },
    { "hashed", "hash_shard_mappings", names.hashed and 1 or 0 },
    { "bare", "keyspaces", names.bare and 1 or 0 },
  }
  self:change(function(tx)
    tx:run("INSERT INTO _collegedb_counters VALUES ('identity', ?) ON CONFLICT DO NOTHING", { core.random() })
    for _, each in ipairs(settings) do
      tx:run("INSERT INTO _collegedb_counters VALUES (?, ?) ON CONFLICT DO NOTHING", { each[1], each[3] })
    end
    return false
  end)
  self.identity = self.record.identity -- tells this directory from others, as a file's number does
  for _, each in ipairs(settings) do
    local row = self.record.mirror:first("SELECT value FROM _collegedb_counters WHERE name = ?", { each[1] })
    if row.value ~= each[3] then
      errors.raise("CONFIG", { field = each[2] }, "%s is not what the directory in the table KV was made with", each[2])
    end
  end
end

--- As open, for who only reads it: others do not see that somebody is there.
function kv_directory.look(kv, secret, options)
  format.check()
  local naming = { secret = secret, hashed = options.hash_shard_mappings ~= false, bare = options.keyspaces == false }
  local self = setmetatable({ path = "<table KV>", secret = secret, store = store.new(kv), naming = naming,
    strangers = {}, stranger_count = 0 }, Directory)
  self.record = record.new(self.store)
  return self
end

--- Opens or creates the directory in a table KV.
---@param kv table as in docs/table-kv.md
---@param secret string? mapping_secret
---@param options { hash_shard_mappings: boolean?, keyspaces: boolean? }
function kv_directory.open(kv, secret, options)
  local self = kv_directory.look(kv, secret, options)
  local done, err = pcall(function()
    self.user = users.join(self.store)
    check_settings(self)
  end)
  if done then return self end
  self:close()
  error(err, 0)
end

return kv_directory
