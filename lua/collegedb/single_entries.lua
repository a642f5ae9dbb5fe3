--- The entries of a directory without transactions over several statements (lua/collegedb/single_directory.lua), in a
-- table beside the record's. Those of the coordinator are elsewhere: lua/collegedb/coordinator_entries.lua has the same
-- interface.

local core = require "collegedb.core"
local directory = require "collegedb.directory"
local entry_pages = require "collegedb.entry_pages"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local single_store = require "collegedb.single_store"

local single_entries = {}

local MANY <const> = 10000 -- keys a statement

---@class collegedb.SingleEntries
local Entries = {}
Entries.__index = Entries

---@param store collegedb.SingleStore
---@return collegedb.SingleEntries
function single_entries.new(store) return setmetatable({ store = store }, Entries) end

-- --- single ones ------------------------------------------------------------------------------------

local LOOKUP <const> = [[SELECT c.value AS epoch, e.shard AS shard, e.version AS version FROM _collegedb_counters AS c
  LEFT JOIN _collegedb_entries AS e ON e.digest = ?1 WHERE c.name = 'epoch']]

--- The epoch, and shard and version of an entry if it is there; nil if there is no epoch.
---@param digest string
---@return { epoch: integer, shard: integer?, version: integer? }?
function Entries:lookup(digest) return self.store:first(LOOKUP, { core.blob(digest) }) end

local CLAIM <const> = [[INSERT INTO _collegedb_entries (digest, shard, version) SELECT ?1, ?2, 1
  WHERE (SELECT value FROM _collegedb_counters WHERE name = 'epoch') = ?3
  ON CONFLICT (digest) DO UPDATE SET version = version RETURNING shard, version]]

--- Makes an entry unless it is there; nil when the epoch is another one.
---@return { shard: integer, version: integer }?
function Entries:claim(digest, id, epoch) return self.store:first(CLAIM, { core.blob(digest), id, epoch }) end

--- The same with turns, all or nothing: false also when there is an entry, or another has taken one of them.
---@param taken table<string, integer[]> by name: what the counter was, and how many were taken
---@return boolean
function Entries:claim_with(taken, digest, id, epoch)
  local names, list = "", {}
  for name, counter in pairs(taken) do
    list[#list + 1] = { #names + 1, #name, counter[1], counter[2] }
    names = names .. name
  end
  return (self.store:change { epoch = epoch, digests = digest, keys = names,
    what = { fresh = { { id, 1 } }, turns = list } })
end

-- Runs a statement that writes an entry and returns it; when its answer was lost and it gives nothing the second time,
-- the entry tells whether it was done.
local function set(self, sql, digest, id, version, becomes)
  local done, row = pcall(self.store.shard.first, self.store.shard, sql, { core.blob(digest), id, version })
  if done then return row ~= nil end
  if not errors.is_error(row, "OUTCOME_UNKNOWN") then error(row, 0) end
  if self.store:first(sql, { core.blob(digest), id, version }) then return true end
  row = self.store:first("SELECT shard, version FROM _collegedb_entries WHERE digest = ?", { core.blob(digest) })
  return row ~= nil and row.shard == id and row.version == becomes
end

-- The shard may have been removed from the record meanwhile, by one that was alone.
local REGISTERED <const> = "EXISTS (SELECT 1 FROM _collegedb_shards WHERE id = ?2)"
local NEW <const> = "INSERT INTO _collegedb_entries SELECT ?1, ?2, ?3 WHERE " .. REGISTERED
  .. " ON CONFLICT DO NOTHING RETURNING shard"
local REPLACE <const> = "UPDATE _collegedb_entries SET shard = ?2, version = version + 1 "
  .. "WHERE digest = ?1 AND version = ?3 AND " .. REGISTERED .. " RETURNING shard"
local CORRECT <const> = "UPDATE _collegedb_entries SET shard = ?2 WHERE digest = ?1 AND version = ?3 AND "
  .. directory.TAKES_ROWS .. " RETURNING shard"

--- Sets an entry if its version is still that (nil: if it is not there).
---@return boolean
function Entries:replace(digest, version, id)
  if version == nil then return set(self, NEW, digest, id, 1, 1) end
  return set(self, REPLACE, digest, id, version, version + 1)
end

--- The same, and the version stays.
---@return boolean
function Entries:correct(digest, version, id)
  return self.store:first(CORRECT, { core.blob(digest), id, version }) ~= nil
end

-- --- many -------------------------------------------------------------------------------------------

local PUBLISH <const> = ([[INSERT INTO _collegedb_entries
  SELECT substr(?1, 1 + 16 * key, 16), value ->> 0, value ->> 1 FROM json_each(?2) AS e
  WHERE %s AND NOT EXISTS (SELECT 1 FROM _collegedb_shards WHERE id = e.value ->> 0 AND drained = 2)
  ON CONFLICT (digest) DO UPDATE SET shard = excluded.shard, version = excluded.version
    WHERE version < excluded.version]])
local EVERY <const> = PUBLISH:format "true"
local AT_HOME <const> = PUBLISH:format(
  "EXISTS (SELECT 1 FROM _collegedb_entries WHERE digest = substr(?1, 1 + 16 * e.key, 16))")

--- Writes entries whose version is higher than what is there.
---@param digests string
---@param places integer[][] shard and version of each
---@param home boolean? only those that are there
function Entries:publish(digests, places, home)
  for first = 1, #places, MANY do
    local last = math.min(first + MANY - 1, #places)
    self.store:run(home and AT_HOME or EVERY, { core.blob(digests:sub(16 * first - 15, 16 * last)),
      json.encode(table.move(places, first, last, 1, {})) })
  end
end

local KNOWN <const> = [[SELECT -1 AS i, value AS shard, 0 AS version FROM _collegedb_counters WHERE name = 'epoch'
  UNION ALL SELECT key, shard, version FROM json_each(?2) CROSS JOIN _collegedb_entries
  ON digest = substr(?1, 1 + 16 * key, 16)]]

--- The entries of many keys.
---@param digests string
---@return table<integer, { shard: integer, version: integer }> # by the number of the key, from 1
---@return integer? epoch in which they were read
function Entries:known(digests)
  local found, count, epoch = {}, #digests // 16, nil
  for first = 1, count, MANY do
    local last = math.min(first + MANY - 1, count)
    for row in self.store:each(KNOWN, { core.blob(digests:sub(16 * first - 15, 16 * last)),
      single_store.numbers(last - first + 1) }) do
      if row.i < 0 then epoch = row.shard else found[first + row.i] = row end
    end
  end
  return found, epoch
end

--- The highest version of some keys' entries, where the statement that asks for it can not look by itself: 0 here.
---@return integer
function Entries.newest() return 0 end

--- Is there any?
---@return boolean
function Entries:any() return self.store:first "SELECT 1 AS yes FROM _collegedb_entries LIMIT 1" ~= nil end

--- How many name each shard.
---@return table<integer, integer>
function Entries:counts()
  local counts = {}
  for row in self.store:each "SELECT shard, count(*) AS n FROM _collegedb_entries GROUP BY shard" do
    counts[row.shard] = row.n
  end
  return counts
end

--- How many of a shard's were found in its data.
---@return integer
function Entries:count_found(id)
  return self.store:first("SELECT count(*) AS n FROM _collegedb_entries WHERE shard = ? AND version = 0", { id }).n
end

--- The digests behind one, in order, a page of them.
---@param after string
---@return string[]
function Entries:page(after) return entry_pages.read(self.store, after) end

return single_entries
