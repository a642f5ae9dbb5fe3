--- Turns of a directory without transactions over several statements. A strategy is shown the next turn, and nothing is
-- written. The claim then is one statement that makes the entry and spends the turns, if the key still has no entry and
-- nobody took one of these turns meanwhile; else it is decided again. So each turn that is spent has its key.

local turns = require "collegedb.turns"

local single_turns = {}

---@class collegedb.SingleTurns
---@field private dir collegedb.SingleDirectory
---@field private taken table<string, { [1]: integer, [2]: integer }> by name: what was seen, and how many were taken
---@field private held { [1]: boolean } whether a turn was taken
---@field private ended boolean
local Turns = {}
Turns.__index = Turns

--- The turns of one allocation; close it (`<close>`) whatever happens. See Directory:turns.
---@param dir collegedb.SingleDirectory
---@return collegedb.SingleTurns
function single_turns.new(dir)
  return setmetatable({ dir = dir, taken = {}, held = { false }, ended = false }, Turns)
end

--- The next turn: 0, 1, 2, …
---@param name string
---@return integer
function Turns:take(name)
  turns.check_going_on(self)
  if not self.held[1] then
    turns.check_none(self.dir)
    self.dir.taking, self.held[1] = self, true
  end
  local counter = self.taken[name] or { self.dir:count_on(name, 0), 0 }
  self.taken[name] = counter
  counter[2] = counter[2] + 1
  return counter[1] + counter[2] - 1
end

--- Gives the key to a shard, as Directory:claim, and makes the turns good. Nil also when another claim was first, of
-- the key or of a turn: look the key up again.
---@return integer? id
function Turns:claim(keyspace, text, id, epoch)
  local dir = self.dir
  if dir.taking == self then dir.taking = nil end
  if not self.held[1] then return dir:claim(keyspace, text, id, epoch) end
  return dir:claim_with(self.taken, keyspace, text, id, epoch) and id or nil
end

function Turns:__close()
  self.ended = true
  if self.dir.taking == self then self.dir.taking = nil end
end

return single_turns
