--- The line on a terminal that shows how far a long command is: a bar, how much, how fast, and how long still.

local core = require "collegedb.core"
local terminal = require "collegedb.terminal"

local progress = {}

local REDRAW <const> = 100 -- ms at least between two looks of one phase
local SMOOTHING <const> = 3 -- s: what is longer ago counts little for the rate
local BAR <const> = 20

---@class collegedb.Progress
---@field clock fun(): integer ms
local Progress = {}
Progress.__index = Progress

--- A line that is not shown yet.
---@param write fun(text: string)
---@return collegedb.Progress
function progress.new(write)
  local function width() return terminal.width "stderr" end
  return setmetatable({ write = write, clock = core.now, width = width }, Progress)
end

-- The rate over the last seconds; nil as long as nothing is known.
function Progress:measure(done, now)
  local seconds = (now - self.at) / 1000
  if seconds <= 0 then return end
  local rate = math.max(done - self.done, 0) / seconds
  local weight = self.rate and 1 - math.exp(-seconds / SMOOTHING) or 1
  self.rate = (self.rate or 0) + weight * (rate - (self.rate or 0))
  self.at, self.done = now, done
end

local function begin(self, label, done, now)
  self.label, self.at, self.done, self.rate = label, now, done, nil
end

local function rate_text(rate) return (rate < 10 and "%.1f/s" or "%.0f/s"):format(rate) end

-- The parts of the line, the ones that matter most first: what a narrow terminal does not show is at its end.
local function line_of(self, done, total, width)
  local parts = { self.label }
  if total and total > 0 then
    if width >= 60 then parts[#parts + 1] = terminal.bar(done / total, BAR) end
    parts[#parts + 1] = ("%.0f %%"):format(math.min(done * 100 // total, 100))
    parts[#parts + 1] = ("%.0f of %.0f"):format(done, total)
  else
    parts[#parts + 1] = ("%.0f"):format(done)
  end
  if self.rate then parts[#parts + 1] = rate_text(self.rate) end
  if self.rate and self.rate > 0 and total and total > done then
    parts[#parts + 1] = terminal.duration_text((total - done) / self.rate) .. " left"
  end
  return terminal.cut(table.concat(parts, "  "), width - 1)
end

--- Shows how far it is, ten times a second at most.
---@param done number
---@param total number?
---@param label string? one line
function Progress:show(done, total, label)
  local now, other = self.clock(), not self.shown or label ~= self.label
  if other then
    begin(self, label, done, now)
  elseif now - self.drawn < REDRAW then
    return
  else
    self:measure(done, now)
  end
  self.shown, self.drawn = true, now
  self.write("\r\27[K" .. line_of(self, done, total, self.width()))
end

--- Takes the line away.
function Progress:clear()
  if self.shown then self.write "\r\27[K" end
  self.shown = false
end

return progress
