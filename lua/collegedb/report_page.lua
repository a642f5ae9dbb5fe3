--- A report as one HTML page that loads nothing: its style is inside, its charts are SVG, and there is no script. Its
-- Content-Security-Policy says so, and names the style by its digest.

local charts = require "collegedb.report_charts"
local core = require "collegedb.core"
local failures = require "collegedb.report_failures"
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
  return HEAD:format(base64(core.sha256(style)), text.escape(report.version), text.moment(report.at), style)
end

local function header(report)
  local parts = { ('<time datetime="%s">%s</time>'):format(text.iso(report.at), text.moment(report.at)) }
  if report.config then parts[#parts + 1] = user(report.config) end
  parts[#parts + 1] = "CollegeDB " .. text.escape(report.version)
  local told = report.statistics
  if told.programs > 0 then
    parts[#parts + 1] = ("%s measured for %s"):format(plural(told.programs, "program"),
      text.duration(math.max(report.at - told.since, 0)))
  end
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
  if report.diagnoses then return "The database does not open." end
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

local NAME <const> = 40 -- characters of a name where there is little room

local function tile(name, value, note)
  return ("<div><dt>%s</dt><dd>%s%s</dd></div>"):format(name, value, note and "<small>" .. note .. "</small>" or "")
end

local function balance_tile(report)
  local balance = report.balance.keys
  if not balance or #report.shards < 2 then return tile("Balance", "–") end
  return tile("Balance", text.number(balance.ratio) .. "×", user(balance.shard, NAME) .. " has most for its weight")
end

local function tiles(report)
  local told, directory = report.statistics, report.directory
  local cache, measured = told.cache, told.programs > 0
  return '<dl class="tiles">' .. table.concat {
    tile("Keys", count(report.keys), "on " .. plural(#report.shards, "shard")),
    tile("Size", size(report.size), report.keys > 0 and size(report.size // report.keys) .. " a key"),
    balance_tile(report),
    tile("Epoch", directory.epoch and count(directory.epoch) or "–",
      directory.entries and plural(directory.entries, "entry", "entries")),
    tile("Reads, p99", text.duration(told.read and told.read.p99), measured and plural(told.reads, "read")),
    tile("Writes, p99", text.duration(told.write and told.write.p99), measured and plural(told.writes, "write")),
    tile("Failed", text.rate(health.error_share(told)), measured and plural(told.errors, "statement")),
    tile("Cache hits", percent(cache and cache.hit_rate),
      cache and "of " .. plural(cache.hits + cache.misses, "look-up")),
  } .. "</dl>\n"
end

-- --- shards --------------------------------------------------------------------------------------------

local STATES <const> = { ["no new keys"] = "takes no new keys", draining = "is being emptied",
  closed = "is empty and closed", full = "is full", new = "was never opened" }

local function tag_of(shard)
  if shard.state == "unreachable" then return '<span class="tag bad">does not answer</span>' end
  local what = STATES[shard.state] or shard.external_writers and "others write it too"
    or not shard.integrated and "rows not taken over"
  return what and '<span class="tag">' .. what .. "</span>" or nil
end

local function about(shard)
  local notes = { shard.region and user(shard.region) or nil }
  if shard.weight ~= 1 then notes[#notes + 1] = ("weight %g"):format(shard.weight) end
  notes[#notes + 1] = tag_of(shard)
  return user(shard.binding, NAME) .. (#notes > 0 and "<small>" .. table.concat(notes, ", ") .. "</small>" or "")
end

local DENSE <const> = 24 -- rows; more of them are set closer

-- Of keys or of bytes: each shard's share as a bar.
local function shares_table(report, what)
  local full, rows = 0, {}
  for _, shard in ipairs(report.shards) do full = math.max(full, shard[what.share] or 0, shard.ideal) end
  for i, shard in ipairs(report.shards) do
    local value, share = shard[what.value], shard[what.share]
    local title = ("%s: %s of the %s; its weight gives it %s"):format(shard.binding, percent(share), what.name,
      percent(shard.ideal))
    local bar = charts.bar { value = share or 0, full = full, mark = share and shard.ideal, class = what.class,
      title = title }
    rows[i] = ('<tr><th scope="row">%s</th><td class="chart">%s</td><td class="number">%s</td>'
      .. '<td class="number">%s</td></tr>'):format(about(shard), bar, value and what.show(value) or "–", percent(share))
  end
  local form = '<table class="shares %s%s"><caption>%s</caption>%s<tbody>%s</tbody></table>'
  return form:format(what.name, #rows > DENSE and " dense" or "", what.caption,
    text.heading({ "shard", "share" }, { what.name, "of all" }), table.concat(rows, "\n"))
end

local LEGEND <const> = [[<ul class="legend"><li><svg viewBox="0 0 14 14" aria-hidden="true"><path class="mark"
 d="M7 0v14"/></svg>the share that the shard's weight gives it</li></ul>]]

local function shards(report)
  return ([[<section id="shards"><h2>Distribution</h2><p class="lead">%s</p><div class="pair">%s%s</div>%s</section>
]]):format(report.keys == 0 and "There are no keys yet." or outlook.evenness(report.balance.keys, #report.shards),
    shares_table(report, { value = "count", share = "share", name = "keys", caption = "Keys", show = count }),
    shares_table(report, { value = "size", share = "size_share", name = "bytes", caption = "Bytes", class = "byte",
      show = size }), LEGEND)
end

-- --- the doctor's word --------------------------------------------------------------------------------------

local function diagnoses(report)
  local lines = {}
  for _, each in ipairs(report.diagnoses or {}) do
    if each.state ~= "ok" then
      lines[#lines + 1] = ("<li>%s: %s%s</li>"):format(user(each.about), user(each.what),
        each.mend and "<small>to mend: " .. user(each.mend) .. "</small>" or "")
    end
  end
  if #lines == 0 then return "" end
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
  for _, section in ipairs { tiles, diagnoses, shards, latency.section, failures.section, outlook.directory,
    outlook.verify, outlook.rebalance } do
    parts[#parts + 1] = section(report)
  end
  parts[#parts + 1] = FOOT
  return table.concat(parts)
end

return page
