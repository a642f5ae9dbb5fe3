--- Measuring on a machine that others use too: what is compared runs in turns,
-- a slice of one and a slice of the other, so that both meet the same noise;
-- a figure is the median over rounds; and instructions stand beside times.

local floor = require "floor"

local measure = {}

local LONG <const> = 4999

function measure.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  if #sorted % 2 == 1 then return sorted[middle + 1] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

-- How far apart the middle half of the values is, as a share of the median.
local function spread(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local quarter = #sorted // 4
  return (sorted[#sorted - quarter] - sorted[1 + quarter]) / measure.median(sorted)
end

-- A long slice begins without the other side's garbage, so that each pays for its own.
local function timed(f, from, to)
  if to - from >= LONG then collectgarbage() end
  local start = floor.now()
  f(from, to)
  return floor.now() - start
end

-- One round: `calls` calls of each, in slices; who goes first changes with every slice.
local function round(plan, from)
  local base, ours = 0, 0
  for slice = 0, plan.calls // plan.slice - 1 do
    local first = from + slice * plan.slice
    local last = first + plan.slice - 1
    if slice % 2 == 0 then
      base = base + timed(plan.base, first, last)
      ours = ours + timed(plan.ours, first, last)
    else
      ours = ours + timed(plan.ours, first, last)
      base = base + timed(plan.base, first, last)
    end
  end
  return base / plan.calls, ours / plan.calls
end

--- Compares two functions f(from, to), each of which makes the calls number from … to; numbers only grow.
---@param plan { base: function, ours: function, calls: integer, slice: integer, rounds: integer }
---@return { base: number, ours: number, ratio: number, spread: number, rounds: integer } # seconds a call; base / ours
function measure.alternate(plan)
  local base, ours, ratios, from = {}, {}, {}, 1
  -- A wide spread asks for more rounds, up to three times as many.
  while #ratios < plan.rounds or (spread(ratios) > 0.08 and #ratios < 3 * plan.rounds) do
    local n = #ratios + 1
    base[n], ours[n] = round(plan, from)
    ratios[n] = base[n] / ours[n]
    from = from + plan.calls
  end
  return { base = measure.median(base), ours = measure.median(ours), ratio = measure.median(ratios),
    spread = spread(ratios), rounds = #ratios }
end

-- --- instructions ---------------------------------------------------------------

-- Section name -> instructions a call, from the files that one callgrind run leaves.
local function read_dumps(path, calls)
  local sections, number = {}, 1
  while true do
    local file = io.open(("%s.%d"):format(path, number))
    if not file then return sections end
    local text = file:read "a"
    file:close()
    os.remove(("%s.%d"):format(path, number))
    local name = text:match "desc: Trigger: Client Request: (%S+)"
    local total = text:match "\ntotals: (%d+)" or text:match "\nsummary: (%d+)"
    if name and total then sections[name] = tonumber(total) / calls end
    number = number + 1
  end
end

--- Runs a figure's `counted` sections under callgrind, in processes of their own: each has other hash seeds.
---@param ... string|number words for the figure
---@return table[]? runs section -> instructions a call, one table a process; nil without valgrind
function measure.instructions(ctx, name, calls, runs, ...)
  if not os.execute "command -v valgrind >/dev/null" then return nil end
  local list = {}
  for i = 1, runs do
    local path = ("%s/callgrind.%s"):format(ctx.tmp, name)
    local command = ("valgrind -q --tool=callgrind --instr-atstart=no --callgrind-out-file='%s' "
      .. "lua5.4 bench/figure.lua counted %s >'%s.log' 2>&1"):format(path, table.concat({ name, ... }, " "), path)
    if not os.execute(command) then error("callgrind failed, see " .. path .. ".log") end
    list[i] = read_dumps(path, calls)
  end
  return list
end

--- Median over the runs of a section's instructions, or of its ratio to another section.
function measure.counted(runs, section, over)
  local list = {}
  for i, each in ipairs(runs) do list[i] = over and each[section] / each[over] or each[section] end
  return measure.median(list)
end

--- A rate for readers: in thousands above ten thousand, with a comma.
function measure.rate(number)
  if number >= 10000 then number = number // 1000 * 1000 end
  local text = ("%.0f"):format(number):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

--- A field of /proc/self/status in bytes: "VmRSS" now, "VmHWM" at most so far.
function measure.memory(field)
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match("^" .. field .. ":%s*(%d+) kB")
    if kilobytes then return tonumber(kilobytes) * 1024 end
  end
end

return measure
