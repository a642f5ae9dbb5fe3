--- Trying again while others keep changing what one decides by: in between a
-- pause that grows, until there was no progress for some time.

local core = require "collegedb.core"

local patience = {}
patience.__index = patience

local FIRST, LONGEST = 2, 250 -- ms

--- Patience for `seconds` without progress.
---@param seconds number
---@param first number? ms of the first pause
---@param growth number? what each pause is longer by than the one before
function patience.new(seconds, first, growth)
  first = first or FIRST
  return setmetatable({ limit = seconds * 1000, first = first, pause = first, growth = growth or 2 }, patience)
end

--- What was tried has come further: the time begins anew.
function patience:progress()
  self.since, self.pause = nil, self.first
end

--- Milliseconds since the first wait without progress.
function patience:waited() return self.since and core.now() - self.since or 0 end

--- Has it come to the longest pauses, after half a second or so?
---@return boolean
function patience:is_long() return self.pause >= LONGEST end

--- Waits before the next try; false when the time is over.
---@return boolean
function patience:wait()
  local now = core.now()
  self.since = self.since or now
  if now - self.since >= self.limit then return false end
  core.pause(self.pause)
  self.pause = math.min(self.pause * self.growth, LONGEST)
  return true
end

return patience
