--- Turns that are spent only together with a claim.
--
-- A strategy that takes a turn for a new key does so inside a transaction on the
-- directory, which begins with the first turn and ends with the claim: whoever
-- loses the key to another process, raises, or names no shard gives the turn back.
-- So the number of turns is the number of keys. A strategy that takes none begins
-- no transaction and holds no lock. It is one commit either way.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local turns = {}

---@class collegedb.Turns
---@field private dir table the directory
---@field private held { [1]: userdata|false } its open transaction, once a turn was taken
---@field private ended boolean
local Turns = {}
Turns.__index = Turns

--- The turns of one allocation; close it (`<close>`) whatever happens. See Directory:turns.
---@param dir table a directory of lua/collegedb/directory.lua
---@return collegedb.Turns
function turns.new(dir) return setmetatable({ dir = dir, held = { false }, ended = false }, Turns) end

--- Raises USAGE while turns are being taken: another claim would be committed, or rolled back, with that key's.
function turns.check_none(dir)
  if not (dir.taking and dir.taking.held[1]) then return end
  errors.raise("USAGE", nil, "a strategy that has taken a turn may not insert another new key before it returns")
end

local function begin(self)
  local dir = self.dir
  turns.check_none(dir)
  -- Set first: what a hook interrupts after this is undone by __close.
  dir.taking = self
  core.begin(dir.shard, nil, self.held)
end

--- Raises USAGE once they were closed.
function turns.check_going_on(self)
  if not self.ended then return end
  errors.raise("USAGE", nil, "ctx.turn is there until the strategy has returned, and not after that")
end

--- The next turn: 0, 1, 2, …
---@param name string
---@return integer
function Turns:take(name)
  turns.check_going_on(self)
  if not self.held[1] then begin(self) end
  return self.dir:count_on(name, 1, self.held[1])
end

--- Gives the key to a shard, as Directory:claim, and makes the turns good. Nil
-- also when another process gave the key a place meanwhile: look it up again.
---@return integer? id
function Turns:claim(keyspace, text, id, epoch)
  local dir, tx = self.dir, self.held[1]
  if not tx then return dir:claim(keyspace, text, id, epoch) end
  local number, known = dir:lookup(keyspace, text)
  if number ~= epoch or known then return nil end
  local winner = dir.entries:claim(keyspace, text, id, epoch)
  core.commit(tx)
  return winner
end

function Turns:__close()
  self.ended = true
  if self.dir.taking == self then self.dir.taking = nil end
  if self.held[1] then core.rollback(self.held[1]) end -- nothing, if the claim was committed
end

return turns
