--- Trying again while others keep changing what one decides by: in between a
-- pause that grows, until there was no progress for some time.

local core = require "collegedb.core"

local patience = {}
patience.__index = patience

local FIRST, LONGEST = 2, 250 -- ms

--- Patience for `seconds` without progress.
---@param seconds number
function patience.new(seconds) return setmetatable({ limit = seconds * 1000, pause = FIRST }, patience) end

--- What was tried has come further: the time begins anew.
function patience:progress()
  self.since, self.pause = nil, FIRST
end

--- Waits before the next try; false when the time is over.
---@return boolean
function patience:wait()
  local now = core.now()
  self.since = self.since or now
  if now - self.since >= self.limit then return false end
  core.pause(self.pause)
  self.pause = math.min(self.pause * 2, LONGEST)
  return true
end

return patience
