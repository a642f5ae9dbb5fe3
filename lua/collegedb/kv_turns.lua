--- Turns of a directory in a table KV, that are spent together with a claim as far as compare-and-set can do that:
-- it changes one value, and counter and entry are two.
--
-- A strategy is shown the next turn, and nothing is written. The claim first makes the turn its own: if the counter
-- is not what it was, another has taken that turn, and it is decided again. Then it claims the key; where that is
-- lost, the turn is given back if nobody has taken the next one meanwhile. So no turn is had by two claims, and one is
-- passed over only by a claim that is lost in between, or never comes because the process died there.

local errors = require "collegedb.errors"
local turns = require "collegedb.turns"

local kv_turns = {}

local PREFIX = "collegedb:turn:"

-- --- counters, each a value of its own -----------------------------------------------

--- What a counter is, and the text of it.
---@param store collegedb.KVStore
---@param name string
---@return integer value, string? raw
function kv_turns.read(store, name)
  local raw = store:get(PREFIX .. name)
  local value = math.tointeger(tonumber(raw or "0"))
  if value then return value, raw end
  errors.raise("CORRUPT", { kv_key = PREFIX .. name }, "the value of %q in the table KV is no whole number",
    PREFIX .. name)
end

--- Sets a counter if its text is still `raw`.
---@param value integer
---@return boolean set
function kv_turns.set(store, name, raw, value) return store:cas(PREFIX .. name, raw, tostring(value)) end

-- --- the turns of one allocation --------------------------------------------------------

---@class collegedb.KVTurns
---@field private dir collegedb.KVDirectory
---@field private taken table<string, { value: integer, raw: string?, count: integer }> by name
---@field private held { [1]: boolean } whether a turn was taken
---@field private ended boolean
local Turns = {}
Turns.__index = Turns

--- The turns of one allocation; close it (`<close>`) whatever happens. See Directory:turns.
---@param dir collegedb.KVDirectory
---@return collegedb.KVTurns
function kv_turns.new(dir) return setmetatable({ dir = dir, taken = {}, held = { false }, ended = false }, Turns) end

--- The next turn: 0, 1, 2, …
---@param name string
---@return integer
function Turns:take(name)
  turns.check_going_on(self)
  if not self.held[1] then
    turns.check_none(self.dir)
    self.dir.taking, self.held[1] = self, true
  end
  local counter = self.taken[name]
  if not counter then
    local value, raw = kv_turns.read(self.dir.store, name)
    counter = { value = value, raw = raw, count = 0 }
    self.taken[name] = counter
  end
  counter.count = counter.count + 1
  return counter.value + counter.count - 1
end

local function give_back(self, spent)
  for name, counter in pairs(spent) do
    kv_turns.set(self.dir.store, name, tostring(counter.value + counter.count), counter.value)
  end
end

-- All of them, or none: false when another has taken one.
local function spend(self)
  local spent = {}
  for name, counter in pairs(self.taken) do
    if not kv_turns.set(self.dir.store, name, counter.raw, counter.value + counter.count) then
      give_back(self, spent)
      return false
    end
    spent[name] = counter
  end
  return true
end

--- Gives the key to a shard, as Directory:claim, and makes the turns good. Nil also when another claim had a turn
-- meanwhile: look the key up again.
---@return integer? id
function Turns:claim(keyspace, text, id, epoch)
  local dir = self.dir
  if dir.taking == self then dir.taking = nil end
  dir:check_claim()
  if not spend(self) then return nil end
  local winner, written = dir:claim(keyspace, text, id, epoch)
  if not written then give_back(self, self.taken) end
  return winner
end

function Turns:__close()
  self.ended = true
  if self.dir.taking == self then self.dir.taking = nil end
end

return kv_turns
