--- The part of a report's page about statements that failed: by shard, and by code.

local charts = require "collegedb.report_charts"
local health = require "collegedb.report_health"
local text = require "collegedb.report_text"

local failures = {}

local count, plural, rate, user = text.count, text.plural, text.rate, text.user

-- The codes of some shards and how often each came, the most frequent first.
local function codes_of(shards)
  local counts, list = {}, {}
  for _, shard in ipairs(shards) do
    for code, n in pairs(shard.errors_by_code or {}) do
      counts[code] = (counts[code] or 0) + n
    end
  end
  for code, n in pairs(counts) do list[#list + 1] = { code = code, n = n } end
  table.sort(list, function(a, b) return a.n ~= b.n and a.n > b.n or a.n == b.n and a.code < b.code end)
  return list
end

-- Where there is no room for "OUTCOME_UNKNOWN" on a line, it has two.
local function code_text(code) return (text.user(code):gsub("_", "_<wbr>")) end

local function codes_text(shard)
  local list = codes_of { shard }
  for i, each in ipairs(list) do list[i] = code_text(each.code) .. "&nbsp;" .. count(each.n) end
  return table.concat(list, ", ")
end

local function by_shard(shards)
  local rows, full = {}, health.ERROR_SHARE * 1.25
  for _, shard in ipairs(shards) do full = math.max(full, health.error_share(shard)) end
  for i, shard in ipairs(shards) do
    local share = health.error_share(shard)
    local bar = charts.bar { value = share, full = full, mark = health.ERROR_SHARE, class = "fail",
      title = ("%s: %s failed"):format(shard.binding, rate(share)) }
    rows[i] = ('<tr><th scope="row">%s<small>%s</small></th><td class="chart">%s</td><td class="number">%s</td>'
      .. '<td class="number">%s</td></tr>'):format(user(shard.binding, 40), codes_text(shard), bar,
      count(shard.errors), rate(share))
  end
  return '<table class="shares failed"><caption>Failed statements by shard</caption>'
    .. text.heading({ "shard", "rate" }, { "failed", "of all" }) .. "<tbody>" .. table.concat(rows, "\n")
    .. "</tbody></table>"
end

local function by_code(shards)
  local rows, list = {}, codes_of(shards)
  for i, each in ipairs(list) do
    rows[i] = ('<tr><th scope="row">%s</th><td class="chart">%s</td><td class="number">%s</td></tr>'):format(
      code_text(each.code), charts.bar { value = each.n, full = list[1].n, class = "fail",
      title = ("%s: %d"):format(each.code, each.n) }, count(each.n))
  end
  return '<table class="shares failed"><caption>Failed statements by code</caption>'
    .. text.heading({ "code", "share" }, { "failed" }) .. "<tbody>" .. table.concat(rows, "\n") .. "</tbody></table>"
end

local LEGEND <const> = [[<ul class="legend"><li><svg viewBox="0 0 14 14" aria-hidden="true"><path class="mark"
 d="M7 0v14"/></svg>%s: more than that is worth a look</li></ul>]]

local function lead(shards, failed)
  local quiet, slow = #shards - #failed, 0
  for _, shard in ipairs(shards) do slow = slow + (shard.slow or 0) end
  local what = #failed == 0 and "No statement failed."
    or quiet > 0 and ("No statement failed on %s."):format(plural(quiet, "other shard"))
    or "Statements failed on every shard."
  return what .. (slow > 0 and (" %s slow."):format(plural(slow, "statement was", "statements were")) or "")
end

---@param report collegedb.Report
---@return string html
function failures.section(report)
  if report.statistics.programs == 0 then return "" end
  local failed = {}
  for _, shard in ipairs(report.shards) do
    if (shard.errors or 0) > 0 then failed[#failed + 1] = shard end
  end
  local tables = #failed == 0 and "" or '<div class="pair"><div>' .. by_shard(failed)
    .. LEGEND:format(rate(health.ERROR_SHARE)) .. "</div>" .. by_code(failed) .. "</div>"
  return ('<section id="errors"><h2>Errors</h2><p class="lead">%s</p>%s</section>\n'):format(
    lead(report.shards, failed), tables)
end

return failures
