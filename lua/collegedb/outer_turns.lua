--- Turns that are not the directory's: those of a coordinator that the config names, such as the gateway's beside a
-- directory in a file, or a table of the user's. A turn is taken when a strategy asks for it; of two programs that want
-- one key at the same time, the second has taken its turn for nothing.

local errors = require "collegedb.errors"
local turns = require "collegedb.turns"

local outer_turns = {}

---@class collegedb.OuterTurns
local Turns = {}
Turns.__index = Turns

-- What the coordinator answered, if that is a turn.
local function checked(name, answer)
  local turn = math.type(answer) and math.tointeger(answer)
  if turn and turn >= 0 then return turn end
  errors.raise("SCRIPT", nil, "the coordinator's turn(%q) returned %s; it must return 0, 1, 2, …", name,
    type(answer) == "number" and tostring(answer) or "a " .. type(answer))
end

--- The turns of one allocation; close it (`<close>`) whatever happens.
---@param coordinator { turn: fun(name: string): integer }
---@param dir table the directory
---@return collegedb.OuterTurns
function outer_turns.new(coordinator, dir)
  return setmetatable({ coordinator = coordinator, dir = dir, ended = false }, Turns)
end

--- The next turn of a coordinator, for one who only looks: the first, where it can not tell.
---@param coordinator { peek: nil|fun(name: string): integer }
---@param name string
---@return integer
function outer_turns.peek(coordinator, name)
  return coordinator.peek and checked(name, coordinator.peek(name)) or 0
end

---@param name string
---@return integer
function Turns:take(name)
  turns.check_going_on(self)
  return checked(name, self.coordinator.turn(name))
end

--- As Directory:claim.
function Turns:claim(keyspace, text, id, epoch) return self.dir:claim(keyspace, text, id, epoch) end

function Turns:__close() self.ended = true end

return outer_turns
