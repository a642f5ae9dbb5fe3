-- What a process has done, and how long it waited: counts by name and a histogram, written into a file twice a second,
-- because its process may be killed at any time.

local forks = require "forks"

local meter = {}

local Meter = {}
Meter.__index = Meter

local EVERY <const> = 0.5 -- seconds
local SLOW <const> = 1 -- seconds: noted one by one
local STEPS <const> = 8 -- classes of the histogram for each doubling

---@param path string
function meter.open(path)
  local file = assert(io.open(path, "w"))
  file:setvbuf "line"
  return setmetatable({ file = file, counts = {}, due = 0 }, Meter)
end

local function add(counts, name, n) counts[name] = (counts[name] or 0) + (n or 1) end

function Meter:count(name) add(self.counts, name) end

---@param why string
---@param only_stopped boolean it may be only while a program is stopped, or just after
function Meter:refuse(why, only_stopped)
  self:count("refused " .. why)
  if only_stopped then self.file:write(("refused %.6f %s\n"):format(forks.now(), why)) end
end

---Runs f(…), counts it under its name, and notes for a write how long it took.
function Meter:time(name, is_write, f, ...)
  local from = forks.now()
  f(...)
  local now = forks.now()
  add(self.counts, name)
  if is_write then add(self.counts, "wait " .. math.floor(math.log(math.max(now - from, 1e-6) * 1e6, 2) * STEPS)) end
  if is_write and now - from > SLOW then self.file:write(("slow %.6f %.6f %s\n"):format(from, now, name)) end
  if now >= self.due then self:save(now) end
end

---Writes down what was counted since.
function Meter:save(now)
  self.due = now + EVERY
  for name, n in pairs(self.counts) do self.file:write("count ", n, " ", name, "\n") end
  self.counts = {}
end

---Adds what files of meters say to a sum.
---@param sum { counts: table<string, integer>, slow: { from: number, to: number, name: string }[],
--- refused: { at: number, why: string }[] }
function meter.add(sum, paths)
  for _, path in ipairs(paths) do
    for line in io.lines(path) do
      local n, name = line:match "^count (%d+) (.+)$"
      if n then add(sum.counts, name, tonumber(n)) end
      local from, to, what = line:match "^slow (%S+) (%S+) (.+)$"
      local at, why = line:match "^refused (%S+) (.+)$"
      if at then table.insert(sum.refused, { at = tonumber(at), why = why }) end
      if from then table.insert(sum.slow, { from = tonumber(from), to = tonumber(to), name = what }) end
    end
  end
end

---Seconds that a share of the waits did not take longer than; the class's upper end. Share 1: the longest.
---@param counts table<string, integer>
---@param share number
function meter.wait(counts, share)
  local classes, total = {}, 0
  for name, n in pairs(counts) do
    local class = tonumber(name:match "^wait (%d+)$")
    if class then
      classes[#classes + 1] = { class = class, n = n }
      total = total + n
    end
  end
  table.sort(classes, function(a, b) return a.class < b.class end)
  local seen = 0
  for _, each in ipairs(classes) do
    seen = seen + each.n
    if seen >= share * total then return 2 ^ ((each.class + 1) / STEPS) / 1e6 end
  end
  return 0
end

return meter
