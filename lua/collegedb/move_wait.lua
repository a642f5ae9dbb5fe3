--- Waiting until moves of others are over, for who is to move the same keys: those of dead programs are ended as soon
-- as it is certain, or their lease has run out.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local moves = require "collegedb.moves"
local recovery = require "collegedb.recovery"

local move_wait = {}

local FIRST <const>, LONGEST <const> = 20, 1000 -- ms between two looks
local SLICE <const> = 100 -- ms, so that a signal is heeded

-- Ends what can be ended. The moves that go on, with the seconds that their leases have; nil while others are at it.
local function look(state)
  local done, answer, _, going = pcall(recovery.run, state)
  if done then return going end
  if not errors.is_error(answer, "BUSY") then error(answer, 0) end
end

local function longest(waited_for)
  local most = 0
  for _, remains in pairs(waited_for) do most = math.max(most, remains) end
  return most
end

local function pause(ms)
  local till = core.now() + ms
  while core.now() < till do core.pause(math.min(SLICE, math.max(1, math.ceil(till - core.now())))) end
end

--- Waits until the moves that go on now are over, or one of them; no longer than a dead program's lease may run.
---@param state table of lua/collegedb/state.lua
---@param only integer? the move's number
---@param tell fun(seconds: integer)? is told how long it may take; may raise to stop
---@return boolean over
function move_wait.run(state, only, tell)
  local till, ms, waited_for = core.now() + (moves.lease + 2) * 1000, FIRST, nil
  while true do
    local going = look(state)
    if going then
      waited_for = waited_for or only and { [only] = 0 } or going
      for number in pairs(waited_for) do waited_for[number] = going[number] end
      if next(waited_for) == nil then return true end
    end
    if core.now() >= till then return false end
    if tell and waited_for then tell(longest(waited_for)) end
    pause(ms)
    ms = math.min(2 * ms, LONGEST)
  end
end

--- The same for all, if the journal has any.
---@return boolean over
function move_wait.all(state, tell)
  return #moves.lines(state.directory) == 0 or move_wait.run(state, nil, tell)
end

return move_wait
