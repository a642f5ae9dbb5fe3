--- The entries of the coordinator's directory: in objects of their own, a range of digests each, which are asked one by
-- one (worker/src/entries.js). The interface is that of lua/collegedb/single_entries.lua.
--
-- What is asked for may be done twice, since an answer that was lost is asked for again: a claim then finds its own
-- entry, and an entry that was set tells by what it is that it was set.

local json = require "collegedb.json"

local coordinator_entries = {}

local MANY <const> = 10000 -- keys a request
local ENTRY <const> = { id = "integer?", version = "integer?" }

---@class collegedb.CoordinatorEntries
local Entries = {}
Entries.__index = Entries

---@param coordinator collegedb.Coordinator
---@return collegedb.CoordinatorEntries
function coordinator_entries.new(coordinator) return setmetatable({ coordinator = coordinator }, Entries) end

local function to_hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function to_bytes(digits)
  return (digits:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- --- single ones ------------------------------------------------------------------------------------

function Entries:lookup(digest)
  local answer = self.coordinator:ask("lookup", { digest = to_hex(digest) }, { epoch = "integer", id = "integer?",
    version = "integer?" })
  return { epoch = answer.epoch, shard = answer.id, version = answer.version }
end

function Entries:claim(digest, id, epoch)
  local answer = self.coordinator:ask("claim", { digest = to_hex(digest), shard = id, epoch = epoch }, ENTRY)
  return answer.id and { shard = answer.id, version = answer.version } or nil
end

function Entries:claim_with(taken, digest, id, epoch)
  local list = {}
  for name, counter in pairs(taken) do list[#list + 1] = { to_hex(name), counter[1], counter[2] } end
  return self.coordinator:ask("allot", { digest = to_hex(digest), shard = id, epoch = epoch, taken = list },
    { claimed = "boolean?" }).claimed
end

--- Gives a new key to the next of some shards, by a turn that is spent with it; or tells where it is. Nil when the
-- epoch is another one.
---@param name string of the turn
---@param ids integer[] shards
---@return integer? id
function Entries:rotate(name, digest, ids, epoch)
  local answer = self.coordinator:ask("allot", { digest = to_hex(digest), rotate = to_hex(name), shards = ids,
    epoch = epoch }, ENTRY)
  return answer.id
end

local function set(self, digest, version, id, keep)
  local answer, attempts = self.coordinator:ask("compare_and_set", { digest = to_hex(digest),
    version = version or json.null, shard = id, keep = keep },
    { set = "boolean?", id = "integer?", version = "integer?" })
  local becomes = keep and version or (version or 0) + 1
  return answer.set or attempts > 1 and answer.id == id and answer.version == becomes
end

function Entries:replace(digest, version, id) return set(self, digest, version, id) end
function Entries:correct(digest, version, id) return set(self, digest, version, id, true) end

-- --- many -------------------------------------------------------------------------------------------

function Entries:publish(digests, places, home)
  for first = 1, #places, MANY do
    local last = math.min(first + MANY - 1, #places)
    self.coordinator:ask("publish", { digests = to_hex(digests:sub(16 * first - 15, 16 * last)),
      places = table.move(places, first, last, 1, {}), home = home and true or nil }, {})
  end
end

function Entries:known(digests)
  local found, count, epoch = {}, #digests // 16, nil
  for first = 1, count, MANY do
    local answer = self.coordinator:ask("known", { digests = to_hex(digests:sub(16 * first - 15,
      16 * (first + MANY - 1))) },
      { rows = "rows", epoch = "integer" })
    for _, row in ipairs(answer.rows) do found[first + row[1]] = { shard = row[2], version = row[3] } end
    epoch = math.min(epoch or answer.epoch, answer.epoch)
  end
  return found, epoch
end

--- The statement that begins a move can not look at entries, so it is told. One that is written in between is like one
-- written just after.
function Entries:newest(digests)
  local highest = 0
  for _, entry in pairs((self:known(digests))) do highest = math.max(highest, entry.version) end
  return highest
end

-- By shard: how many there are, and how many of them were found in its data.
local function counts(self)
  local all, found = {}, {}
  for _, row in ipairs(self.coordinator:ask("counts", json.object {}, { counts = "rows" }).counts) do
    all[row[1]], found[row[1]] = row[2], row[3]
  end
  return all, found
end

function Entries:any() return next((counts(self))) ~= nil end
function Entries:counts() return (counts(self)) end
function Entries:count_found(id) return select(2, counts(self))[id] or 0 end

function Entries:page(after)
  local list, digests = {}, to_bytes(self.coordinator:ask("page", { after = to_hex(after) },
    { digests = "digests" }).digests)
  for i = 1, #digests // 16 do list[i] = digests:sub(16 * i - 15, 16 * i) end
  return list
end

return coordinator_entries
