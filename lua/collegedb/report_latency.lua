--- The part of a report's page about how long statements took: a histogram for each of the busiest shards, and figures
-- of all.

local charts = require "collegedb.report_charts"
local text = require "collegedb.report_text"

local latency = {}

local count, duration, user = text.count, text.duration, text.user

local CARDS <const> = 12 -- histograms; of more shards the busiest have one

-- --- one shard --------------------------------------------------------------------------------------

local HEADING <const> = '<thead><tr><td></td><th scope="col" class="number">ran</th><th scope="col" class="number">p50'
  .. '</th><th scope="col" class="number">p90</th><th scope="col" class="number">p99</th>'
  .. '<th scope="col" class="number">max</th></tr></thead>'

local function figures(class, ran, histogram)
  local cells = { count(ran) }
  for i, field in ipairs { "p50", "p90", "p99", "max" } do cells[i + 1] = duration(histogram[field]) end
  return ('<tr class="%s"><th scope="row">%s</th><td class="number">%s</td></tr>'):format(class, class,
    table.concat(cells, '</td><td class="number">'))
end

-- The numbers behind the columns.
local function buckets(read, write)
  local rows, by_start, starts = {}, {}, {}
  for field, histogram in pairs { read = read, write = write } do
    for _, bucket in ipairs(histogram.buckets) do
      if not by_start[bucket.from] then
        by_start[bucket.from] = { to = bucket.to }
        starts[#starts + 1] = bucket.from
      end
      by_start[bucket.from][field] = bucket.count
    end
  end
  table.sort(starts)
  for i, from in ipairs(starts) do
    local each = by_start[from]
    rows[i] = ('<tr><td>%s to %s</td><td class="number">%s</td><td class="number">%s</td></tr>'):format(duration(from),
      duration(each.to), count(each.read or 0), count(each.write or 0))
  end
  return "<details><summary>Every bucket</summary><table>" .. text.heading({ "took" }, { "reads", "writes" })
    .. "<tbody>" .. table.concat(rows, "\n") .. "</tbody></table></details>"
end

local function card(shard, axis)
  local read, write = shard.read, shard.write
  local desc = ("reads, upwards: %d, p50 %s, p99 %s; writes, downwards: %d, p50 %s, p99 %s"):format(shard.reads,
    duration(read.p50), duration(read.p99), shard.writes, duration(write.p50), duration(write.p99))
  return ('<div class="card"><h3>%s</h3>%s<table>%s<tbody>%s%s</tbody></table>%s</div>'):format(user(shard.binding),
    charts.latency { read = read, write = write, axis = axis, title = "Latency of " .. shard.binding, desc = desc },
    HEADING, figures("reads", shard.reads, read), figures("writes", shard.writes, write), buckets(read, write))
end

-- --- shards beyond those with a histogram -------------------------------------------------------------

local function brief(ran, histogram)
  if ran == 0 then return "–" end
  return ("%s / %s<small>%s</small>"):format(duration(histogram.p50), duration(histogram.p99), count(ran))
end

local function others(list)
  local rows = {}
  for i, shard in ipairs(list) do
    rows[i] = ('<tr><th scope="row">%s</th><td class="number">%s</td><td class="number">%s</td></tr>'):format(
      user(shard.binding), brief(shard.reads, shard.read),
      brief(shard.writes, shard.write))
  end
  return '<table class="others"><caption>The other shards, p50 / p99</caption>'
    .. text.heading({ "shard" }, { "reads", "writes" }) .. "<tbody>" .. table.concat(rows, "\n") .. "</tbody></table>"
end

local function ran(shard) return shard.reads + shard.writes end

-- Shards of which durations are known, the busiest first when not all can have a histogram. (Of quick statements some
-- are timed: what ran is counted apart.)
local function busy(shards)
  local list, places = {}, {}
  for i, shard in ipairs(shards) do
    if shard.read and shard.write and shard.read.count + shard.write.count > 0 then
      list[#list + 1], places[shard] = shard, i
    end
  end
  if #list > CARDS then
    table.sort(list, function(a, b)
      return ran(a) > ran(b) or ran(a) == ran(b) and places[a] < places[b]
    end)
  end
  return list
end

-- --- the section -----------------------------------------------------------------------------------------

local LEGEND <const> = [[<ul class="legend"><li><svg viewBox="0 0 14 14" aria-hidden="true"><rect class="key-read"
 y="2" width="14" height="10" rx="2"/></svg>reads, upwards</li><li><svg viewBox="0 0 14 14" aria-hidden="true"><rect
 class="key-write" y="2" width="14" height="10" rx="2"/></svg>writes, downwards</li>
<li>the axis is logarithmic and the same for all; heights are each to its own</li></ul>]]

local function frame(lead, body)
  return ('<section id="latency"><h2>Latency</h2><p class="lead">%s</p>%s</section>\n'):format(lead, body or "")
end

---@param report collegedb.Report
---@return string html
function latency.section(report)
  if report.statistics.programs == 0 then
    return frame(report.statistics.enabled and "No program that shares its figures is running."
      or "Not known: programs keep their figures to themselves until the config names a folder for them, "
      .. "<code>statistics_dir</code>.")
  end
  local list, cards, histograms = busy(report.shards), {}, {}
  for _, shard in ipairs(list) do
    histograms[#histograms + 1], histograms[#histograms + 2] = shard.read, shard.write
  end
  local axis = charts.axis(histograms)
  if not axis then return frame "No statement has run yet." end
  for i = 1, math.min(#list, CARDS) do
    local shard = list[i]
    cards[i] = card(shard, axis)
  end
  local rest = #list > CARDS and others(table.move(list, CARDS + 1, #list, 1, {})) or ""
  return frame(#list > CARDS and ("How long statements took; of %d shards the %d busiest."):format(#list, CARDS)
    or "How long statements took.", LEGEND .. '<div class="cards">' .. table.concat(cards, "\n") .. "</div>" .. rest)
end

return latency
