--- A report as one HTML page that loads nothing: its style is inside, its charts are SVG, and there is no script. Its
-- Content-Security-Policy says so, and names the style by its digest.

local charts = require "collegedb.report_charts"
local core = require "collegedb.core"
local health = require "collegedb.report_health"
local latency = require "collegedb.report_latency"
local outlook = require "collegedb.report_outlook"
local style = require "collegedb.report_style"
local text = require "collegedb.report_text"

local page = {}

local count, percent, plural, size, user = text.count, text.percent, text.plural, text.size, text.user

-- --- the frame -----------------------------------------------------------------------------------

local DIGITS <const> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local digit = n >> (18 - 6 * k) & 63
      out[#out + 1] = (k <= (c and 3 or b and 2 or 1)) and DIGITS:sub(digit + 1, digit + 1) or "="
    end
  end
  return table.concat(out)
end

local HEAD <const> = [[
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="CollegeDB %s">
<title>CollegeDB report, %s</title>
<style>%s</style>
</head>
<body>
]]

local function head(report)
  return HEAD:format(base64(core.sha256(style)), text.escape(report.version), text.moment(report.made), style)
end

local function measured_note(report)
  local told = report.statistics
  if not told or told.programs == 0 then return nil end
  return ("%s measured for %s"):format(plural(told.programs, "program"), text.duration(report.made - told.since))
end

local function header(report)
  local parts = { ('<time datetime="%s">%s</time>'):format(text.iso(report.made), text.moment(report.made)) }
  if report.config then parts[#parts + 1] = user(report.config) end
  parts[#parts + 1] = "CollegeDB " .. text.escape(report.version)
  parts[#parts + 1] = measured_note(report)
  return ('<header>\n<h1>CollegeDB report</h1>\n<p class="made"><span>%s</span></p>\n</header>\n<main>\n'):format(
    table.concat(parts, "</span><span>"))
end

-- --- health ----------------------------------------------------------------------------------------

local SIGNS <const> = {
  good = '<circle cx="7" cy="7" r="7"/><path class="drawn" d="M3.8 7.2l2.2 2.2 4.2-4.6"/>',
  attention = '<path d="M7 .6L13.8 13H.2z"/><path class="drawn" d="M7 5v3.8M7 10.2v1.4"/>',
  bad = '<rect width="14" height="14" rx="3"/><path class="drawn" d="M4.2 4.2l5.6 5.6M9.8 4.2l-5.6 5.6"/>',
}

local WORDS <const> = { good = "good", attention = "needs attention", bad = "wrong" }

local function sign(state)
  return ('<svg class="sign %s" viewBox="0 0 14 14" role="img"><title>%s</title>%s</svg>'):format(state, WORDS[state],
    SIGNS[state])
end

local function verdict(report)
  local findings = #report.health.findings
  if not report.opened then return "The database does not open." end
  if report.health.state == "good" then
    return report.verify.left_out and "All is well, as far as was looked: rows were not verified."
      or "All is well: every shard answers, and every row is where its key is looked for."
  end
  return report.health.state == "bad" and ("Something is wrong: %s."):format(plural(findings, "finding"))
    or ("%s to look at."):format(plural(findings, "thing"))
end

local SHOWN <const> = 12 -- findings above everything else; their sections say more

local function banner(report)
  local state, lines = report.health.state, {}
  for i, each in ipairs(report.health.findings) do
    if i > SHOWN then
      lines[i] = ("<li>… and %d more</li>"):format(#report.health.findings - SHOWN)
      break
    end
    lines[i] = ('<li>%s<a href="#%s">%s</a></li>'):format(sign(each.state), each.section, user(each.text))
  end
  return ('<div class="health %s"><p class="verdict">%s<span>%s</span></p>%s</div>\n'):format(state, sign(state),
    verdict(report), #lines > 0 and "<ul>" .. table.concat(lines) .. "</ul>" or "")
end

-- --- figures at a glance ---------------------------------------------------------------------------

local function tile(name, value, note)
  return ("<div><dt>%s</dt><dd>%s%s</dd></div>"):format(name, value, note and "<small>" .. note .. "</small>" or "")
end

local function tiles(report)
  local totals, told, cache = report.totals, report.statistics, report.statistics and report.statistics.cache
  local all = latency.totals(report.shards)
  local share = health.error_share(all)
  return '<dl class="tiles">' .. table.concat {
    tile("Keys", count(totals.keys), "on " .. plural(#report.shards, "shard")),
    tile("Size", size(totals.bytes), totals.keys > 0 and size(totals.bytes // totals.keys) .. " a key"),
    tile("Balance", percent(totals.balance), totals.balance and "of the keys as weighted"),
    tile("Cache hits", percent(cache and cache.hit_rate),
      cache and "of " .. plural(cache.hits + cache.misses, "look-up")),
    tile("Reads, p99", text.duration(all.read.p99), told and plural(all.reads, "read")),
    tile("Writes, p99", text.duration(all.write.p99), told and plural(all.writes, "write")),
    tile("Failed", percent(share), told and plural(all.errors, "statement")),
    tile("Epoch", count(report.directory.epoch), plural(report.directory.entries, "entry", "entries")),
  } .. "</dl>\n"
end

-- --- shards --------------------------------------------------------------------------------------------

local STATES <const> = { closed = "takes no new keys", draining = "is being emptied", drained = "is empty and closed",
  waiting = "rows not taken over", shared = "others write it too" }

local NAME <const> = 40 -- characters of a name in a narrow column

local function about(shard)
  local notes = { shard.region and user(shard.region) or nil }
  if shard.weight ~= 1 then notes[#notes + 1] = ("weight %g"):format(shard.weight) end
  local tag = not shard.reachable and '<span class="tag bad">does not answer</span>'
    or STATES[shard.state] and '<span class="tag">' .. STATES[shard.state] .. "</span>"
  notes[#notes + 1] = tag or nil
  return user(shard.name, NAME) .. (#notes > 0 and "<small>" .. table.concat(notes, ", ") .. "</small>" or "")
end

local DENSE <const> = 24 -- rows; more of them are set closer

-- Of keys or of bytes: each shard's share as a bar.
local function shares_table(report, what)
  local full, rows = 0, {}
  for _, shard in ipairs(report.shards) do full = math.max(full, shard[what.share] or 0, shard.ideal) end
  for i, shard in ipairs(report.shards) do
    local value, share = shard[what.value], shard[what.share]
    local title = ("%s: %s of the %s; its weight gives it %s"):format(shard.name, percent(share), what.name,
      percent(shard.ideal))
    rows[i] = ('<tr><th scope="row">%s</th><td class="chart">%s</td><td class="number">%s</td>'
      .. '<td class="number">%s</td></tr>'):format(about(shard), charts.bar { value = share or 0, full = full,
      mark = shard.ideal, class = what.class, title = title }, value and what.show(value) or "–", percent(share))
  end
  local form = '<table class="shares %s%s"><caption>%s</caption>%s<tbody>%s</tbody></table>'
  return form:format(what.value, #rows > DENSE and " dense" or "", what.caption,
    text.heading({ "shard", "share" }, { what.value, "of all" }), table.concat(rows, "\n"))
end

local function shards(report)
  return ([[<section id="shards"><h2>Distribution</h2>
<p class="lead">%s</p>
<div class="pair">%s%s</div>
<ul class="legend"><li><svg viewBox="0 0 14 14" aria-hidden="true"><path class="mark" d="M7 0v14"/></svg>
the share that the shard's weight gives it</li></ul></section>
]]):format(report.totals.balance and percent(report.totals.balance)
      .. " of the keys are where the weights would have them." or "There are no keys yet.",
    shares_table(report, { value = "keys", share = "share", name = "keys", caption = "Keys", show = count }),
    shares_table(report, { value = "bytes", share = "byte_share", name = "bytes", caption = "Bytes", class = "byte",
      show = size }))
end

-- --- errors ----------------------------------------------------------------------------------------------

local function codes_of(measured)
  local codes = {}
  for code, n in pairs(measured.errors_by_code or {}) do codes[#codes + 1] = { code = code, n = n } end
  table.sort(codes, function(a, b) return a.n ~= b.n and a.n > b.n or a.n == b.n and a.code < b.code end)
  for i, each in ipairs(codes) do codes[i] = text.escape(each.code) .. "&nbsp;" .. count(each.n) end
  return table.concat(codes, ", ")
end

local function error_rows(report)
  local rows, full = {}, 0
  for _, shard in ipairs(report.shards) do full = math.max(full, health.error_share(shard.measured) or 0) end
  for _, shard in ipairs(report.shards) do
    local share = health.error_share(shard.measured)
    if shard.measured and shard.measured.errors > 0 then
      local bar = charts.bar { value = share, full = full, class = "fail",
        title = ("%s: %s failed"):format(shard.name, percent(share)) }
      rows[#rows + 1] = ('<tr><th scope="row">%s<small>%s</small></th><td class="chart">%s</td>'
        .. '<td class="number">%s</td><td class="number">%s</td></tr>'):format(user(shard.name),
        codes_of(shard.measured), bar, count(shard.measured.errors), percent(share))
    end
  end
  return rows
end

local function failures(report)
  if not report.statistics then return "" end
  local rows, slow = error_rows(report), 0
  for _, shard in ipairs(report.shards) do slow = slow + (shard.measured and shard.measured.slow or 0) end
  local quiet = #report.shards - #rows
  local lead = #rows == 0 and "No statement failed."
    or quiet > 0 and ("On %s no statement failed."):format(plural(quiet, "other shard")) or "By shard, and by code."
  if slow > 0 then lead = lead .. (" %s slow."):format(plural(slow, "statement was", "statements were")) end
  return ('<section id="errors"><h2>Errors</h2><p class="lead">%s</p>%s</section>\n'):format(lead, #rows == 0 and ""
    or '<table class="shares failures"><caption>Failed statements</caption>'
    .. text.heading({ "shard", "rate" }, { "failed", "of all" }) .. "<tbody>" .. table.concat(rows, "\n")
    .. "</tbody></table>")
end

-- --- the doctor's word --------------------------------------------------------------------------------------

local function diagnoses(report)
  local lines = {}
  for _, each in ipairs(report.diagnoses) do
    if each.state ~= "ok" then
      lines[#lines + 1] = ("<li>%s: %s%s</li>"):format(user(each.about), user(each.what),
        each.mend and "<small>to mend: " .. user(each.mend) .. "</small>" or "")
    end
  end
  return '<section id="doctor"><h2>What the doctor says</h2><ul class="findings">' .. table.concat(lines)
    .. "</ul></section>\n"
end

-- --- the whole ------------------------------------------------------------------------------------------------

local FOOT <const> = "</main>\n<footer>Made by <code>collegedb report</code>. It loads nothing, and nothing in it runs."
  .. "</footer>\n</body>\n</html>\n"

---@param report collegedb.Report
---@return string html
function page.html(report)
  local parts = { head(report), header(report), banner(report) }
  if report.opened then
    for _, section in ipairs { tiles, shards, latency.section, failures, outlook.directory, outlook.verify,
      outlook.rebalance } do
      parts[#parts + 1] = section(report)
    end
  else
    parts[#parts + 1] = diagnoses(report)
  end
  parts[#parts + 1] = FOOT
  return table.concat(parts)
end

return page
