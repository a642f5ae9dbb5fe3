--- Charts of a report as SVG: pure functions from numbers to text. They are as wide as what they stand in (places along
-- are percentages, so that letters keep their size on a phone), and have no colours: the page's style gives those.
--
-- Titles are escaped here; every chart has one, and a description where the title does not say all.

local text = require "collegedb.report_text"

local charts = {}

-- A place along the chart, 0 to 1.
local function at(share) return ("%.3f%%"):format(math.max(0, math.min(1, share)) * 100) end

local function svg(class, height, title, desc, parts)
  return ('<svg class="%s" width="100%%" height="%d" role="img"><title>%s</title>%s%s</svg>'):format(class, height,
    text.escape(title), desc and "<desc>" .. text.escape(desc) .. "</desc>" or "", table.concat(parts))
end

local function rect(class, from, to, y, height, radius)
  return ('<rect class="%s" x="%s" y="%.2f" width="%s" height="%.2f"%s/>'):format(class, at(from), y, at(to - from),
    height, radius and (' rx="%d"'):format(radius) or "")
end

local function line(class, x, y1, y2)
  return ('<line class="%s" x1="%s" x2="%s" y1="%g" y2="%g"/>'):format(class, at(x), at(x), y1, y2)
end

local function label(class, x, y, anchor, content, dx)
  return ('<text class="%s" x="%s" y="%g"%s text-anchor="%s">%s</text>'):format(class, at(x), y,
    dx and (' dx="%g"'):format(dx) or "", anchor, text.escape(content))
end

-- --- bars -------------------------------------------------------------------------------------

--- One bar, and a mark where it should end.
---@param bar { value: number, full: number, mark: number?, title: string, class: string? } full: the value of a bar as
--- long as the chart
---@return string svg
function charts.bar(bar)
  local full = bar.full > 0 and bar.full or 1
  local parts = { rect("track", 0, 1, 4, 10, 2) }
  if bar.value > 0 then parts[2] = rect("fill " .. (bar.class or ""), 0, bar.value / full, 4, 10, 2) end
  if bar.mark then parts[#parts + 1] = line("mark", bar.mark / full, 0, 18) end
  return svg("bar", 18, bar.title, nil, parts)
end

--- From one value to another: a ring where it is, a dot where it would be.
---@param change { before: number, after: number, full: number, mark: number?, title: string }
---@return string svg
function charts.change(change)
  local full = change.full > 0 and change.full or 1
  local before, after = change.before / full, change.after / full
  local parts = {
    '<line class="rail" x1="0%" x2="100%" y1="9" y2="9"/>',
    ('<line class="way" x1="%s" x2="%s" y1="9" y2="9"/>'):format(at(before), at(after)),
  }
  if change.mark then parts[#parts + 1] = line("mark", change.mark / full, 0, 18) end
  parts[#parts + 1] = ('<circle class="before" cx="%s" cy="9" r="4"/>'):format(at(before))
  parts[#parts + 1] = ('<circle class="after" cx="%s" cy="9" r="5"/>'):format(at(after))
  return svg("change", 18, change.title, nil, parts)
end

-- --- histograms ---------------------------------------------------------------------------------

local QUARTER_OCTAVE <const> = 2 ^ 0.25

local function lower(bucket) return bucket.from > 0 and bucket.from or bucket.to / QUARTER_OCTAVE end

local function log10(seconds) return math.log(seconds, 10) end

--- The decades that hold every bucket, so that several histograms share an axis.
---@param histograms collegedb.Histogram[]
---@return { low: integer, high: integer }? # powers of ten of a second; nil without a bucket
function charts.axis(histograms)
  local low, high = math.huge, -math.huge
  for _, each in ipairs(histograms) do
    local first, last = each.buckets[1], each.buckets[#each.buckets]
    if first then low, high = math.min(low, log10(lower(first))), math.max(high, log10(last.to)) end
  end
  if low > high then return nil end
  low, high = math.floor(low + 1e-9), math.ceil(high - 1e-9)
  return { low = low, high = math.max(high, low + 1) }
end

local TOP <const>, READS <const>, WRITES <const> = 14, 64, 46 -- px: the marks' names, bars up, bars down

-- Where a time is on the axis, 0 to 1.
local function along(axis, seconds) return (log10(seconds) - axis.low) / (axis.high - axis.low) end

local function columns(parts, axis, histogram, class, place)
  local most = 0
  for _, bucket in ipairs(histogram.buckets) do most = math.max(most, bucket.count) end
  for _, bucket in ipairs(histogram.buckets) do
    local y, height = place(math.max(bucket.count / most, 0.02))
    parts[#parts + 1] = rect("column " .. class, along(axis, lower(bucket)), along(axis, bucket.to), y, height)
  end
end

-- p50 has its name before the line, p99 behind it: so they never meet.
local function marks(parts, axis, histogram, y1, y2, y)
  for _, mark in ipairs { { "p50", "end", -4 }, { "p99", "start", 4 } } do
    local seconds = histogram[mark[1]]
    if seconds and seconds > 0 then
      parts[#parts + 1] = line("quantile", along(axis, seconds), y1, y2)
      parts[#parts + 1] = label("name", along(axis, seconds), y, mark[2], mark[1], mark[3])
    end
  end
end

local DECADES <const> = { [-9] = "1 ns", [-8] = "10 ns", [-7] = "100 ns", [-6] = "1 µs", [-5] = "10 µs",
  [-4] = "100 µs", [-3] = "1 ms", [-2] = "10 ms", [-1] = "100 ms", [0] = "1 s", [1] = "10 s", [2] = "100 s" }

local function decades(parts, axis, bottom)
  local every = axis.high - axis.low > 5 and 2 or 1 -- so that names do not meet on a phone
  for power = axis.low, axis.high do
    local x = (power - axis.low) / (axis.high - axis.low)
    local anchor = power == axis.low and "start" or power == axis.high and "end" or "middle"
    parts[#parts + 1] = line("grid", x, TOP, bottom)
    if (power - axis.low) % every == 0 then
      parts[#parts + 1] = label("tick", x, bottom + 13, anchor, DECADES[power] or ("1e%d s"):format(power))
    end
  end
end

--- Reads upwards and writes downwards over one logarithmic axis of time, each to its own height.
---@param chart { read: collegedb.Histogram, write: collegedb.Histogram, axis: { low: integer, high: integer },
--- title: string, desc: string }
---@return string svg
function charts.latency(chart)
  local middle, parts = TOP + READS, {}
  local bottom = middle + WRITES
  decades(parts, chart.axis, bottom + TOP)
  columns(parts, chart.axis, chart.read, "read", function(share) return middle - share * READS, share * READS end)
  columns(parts, chart.axis, chart.write, "write", function(share) return middle + 1, share * WRITES end)
  parts[#parts + 1] = ('<line class="base" x1="0%%" x2="100%%" y1="%g" y2="%g"/>'):format(middle, middle)
  marks(parts, chart.axis, chart.read, TOP - 2, middle, TOP - 4)
  marks(parts, chart.axis, chart.write, middle, bottom + 2, bottom + 11)
  return svg("latency", bottom + TOP + 16, chart.title, chart.desc, parts)
end

return charts
