--- The parts of a report's page about the directory and the cache, what verify found, and what a rebalance would do.

local charts = require "collegedb.report_charts"
local text = require "collegedb.report_text"

local outlook = {}

local count, percent, plural, size, user = text.count, text.percent, text.plural, text.size, text.user

local SHOWN <const> = 50 -- findings, moves and flows that are listed
local ITEM <const>, ROW <const> = "<li>%s</li>", '<tr><td colspan="3">%s</td></tr>'

-- The first entries of a list as HTML, and how many there are beyond.
local function first(list, of, form)
  local parts = {}
  for i, each in ipairs(list) do
    if i > SHOWN then break end
    parts[i] = of(each)
  end
  if #list > SHOWN then parts[#parts + 1] = form:format("… and " .. count(#list - SHOWN) .. " more") end
  return table.concat(parts, "\n")
end

local function section(id, name, lead, body)
  return ('<section id="%s"><h2>%s</h2>%s%s</section>\n'):format(id, name, lead and '<p class="lead">' .. lead .. "</p>"
    or "", body or "")
end

local function facts(caption, pairs_of)
  local parts = {}
  for i, each in ipairs(pairs_of) do parts[i] = ("<dt>%s</dt><dd>%s</dd>"):format(each[1], each[2]) end
  return ('<div><h3>%s</h3><dl class="facts">%s</dl></div>'):format(caption, table.concat(parts))
end

-- --- directory and cache -----------------------------------------------------------------------------

local function move_text(move)
  local keys = move.keys and ", " .. plural(move.keys, "key") or ""
  return ("<li>move %d, %s → %s%s, %s%s</li>"):format(move.number, user(move.from), user(move.to), keys,
    user(move.step), move.live and "" or ': <span class="tag bad">without a program</span>'
    .. (move.why and "<small>" .. user(move.why) .. "</small>" or ""))
end

local function directory_facts(report)
  local directory, moves = report.directory, report.moves
  return facts("Directory", {
    { "where", '<span class="mono">' .. user(directory.name) .. "</span>" },
    { "strategy", user(directory.strategy) },
    { "epoch", directory.epoch and count(directory.epoch) .. (directory.retiring > 0
      and (", %s retiring"):format(plural(directory.retiring, "earlier placement")) or "") or "–" },
    { "entries", directory.entries and count(directory.entries) or "–" },
    { "moves under way", moves.live == 0 and "none" or count(moves.live) },
    { "recovery", moves.waiting == 0 and "not needed" or ("needed by %s"):format(plural(moves.waiting, "move")) },
    { "programs", report.programs.count and count(report.programs.count) .. (report.programs.names
      and ": " .. user(report.programs.names) or "") or "–" },
  })
end

local function cache_facts(report)
  local cache = report.statistics.cache
  if not cache then return facts("Mapping cache", { { "measured", "no" } }) end
  return facts("Mapping cache", {
    { "hit rate", percent(cache.hit_rate) .. (cache.hit_rate and charts.bar { value = cache.hit_rate, full = 1,
      class = "cache", title = percent(cache.hit_rate) .. " of the look-ups were answered by the cache" } or "") },
    { "hits", count(cache.hits) },
    { "misses", count(cache.misses) },
    { "entries", ("%s of %s"):format(count(cache.entries), count(cache.capacity)) },
    { "memory", size(cache.bytes) },
  })
end

---@param report collegedb.Report
---@return string html
function outlook.directory(report)
  local list = first(report.moves.list, move_text, ITEM)
  return section("directory", "Directory and cache", nil, '<div class="pair">' .. directory_facts(report)
    .. cache_facts(report) .. "</div>" .. (list ~= "" and '<ul class="findings">' .. list .. "</ul>" or ""))
end

-- --- verify ---------------------------------------------------------------------------------------------

local KEYS <const> = 12 -- of a group that are named

-- Findings that say the same of several keys, as one: { finding, keys }, by kind and in the order in which they came.
local function groups_of(findings)
  local kinds, by_what = {}, {}
  for _, each in ipairs(findings) do
    local id = table.concat({ each.kind, each.table or "", each.shard or "", each.other_shard or "", each.what or "",
      each.advice or "" }, "\0")
    local group = by_what[id]
    if not group then
      group = { finding = each, keys = {} }
      by_what[id], kinds[each.kind] = group, kinds[each.kind] or {}
      table.insert(kinds[each.kind], group)
    end
    local about = each.key ~= nil and tostring(each.key) or each.move and ("move %d"):format(each.move)
    group.keys[#group.keys + 1] = about or nil
  end
  return kinds
end

local function keys_text(keys)
  local parts = {}
  for i, key in ipairs(keys) do
    if i > KEYS then
      parts[i] = ("and %s more"):format(count(#keys - KEYS))
      break
    end
    parts[i] = user(key)
  end
  return table.concat(parts, ", ")
end

local function group_text(group)
  local each = group.finding
  local where = user(each.shard or "") .. (each.other_shard and " and " .. user(each.other_shard) or "")
  local subject = (each.table and user(each.table) .. " on " or "") .. where
  local keys = #group.keys > 0 and ('<span class="keylist">%s</span>'):format(keys_text(group.keys)) or ""
  return ("<li><strong>%s</strong>: %s%s<small>%s</small></li>"):format(subject, user(each.what), keys,
    user(each.advice or ""))
end

local function findings(verify)
  local kinds, names, parts = groups_of(verify.findings), {}, {}
  for kind in pairs(kinds) do names[#names + 1] = kind end
  table.sort(names)
  for i, kind in ipairs(names) do
    parts[i] = ('<h3 class="kind"><span class="number">%s</span> %s</h3><ul class="findings">%s</ul>'):format(
      count(verify.counts[kind]), kind, first(kinds[kind], group_text, ITEM))
  end
  return table.concat(parts, "\n")
end

local function verify_lead(verify)
  local rows = verify.cancelled and ("The first %s of %s rows were compared with where their keys are looked for; "
    .. "<code>collegedb verify</code> looks at all of them."):format(count(verify.rows), count(verify.rows_total))
    or ("Every row was compared with where its key is looked for: %s, %s."):format(plural(verify.keys, "key"),
    plural(verify.entries, "entry", "entries"))
  local clean = true
  for _, n in pairs(verify.counts) do clean = clean and n == 0 end
  return rows .. (clean and " Nothing was found." or " Nothing was repaired.")
end

---@param report collegedb.Report
---@return string html
function outlook.verify(report)
  local verify = report.verify
  if verify.left_out then
    return section("verify", "Verification", "Left out by <code>--no-verify</code>: rows were not compared with where "
      .. "their keys are looked for.")
  elseif verify.error then
    return section("verify", "Verification", "It could not be done: " .. user(verify.error))
  end
  return section("verify", "Verification", verify_lead(verify), findings(verify))
end

-- --- rebalance ---------------------------------------------------------------------------------------------

--- How keys are spread, in a sentence.
---@param balance collegedb.Balance?
---@param shards integer
---@return string
function outlook.evenness(balance, shards)
  if not balance or shards < 2 then return "There is one place for every key." end
  if balance.ratio <= 1.005 then return "No shard has more keys than its weight gives it." end
  return ("%s has %s times the keys that its weight gives it; no shard has more."):format(user(balance.shard),
    text.number(balance.ratio))
end

local function shares_of(list)
  local total, most = 0, 0
  for _, shard in ipairs(list) do
    total, most = total + (shard.count or 0), math.max(most, shard.count or 0)
  end
  return math.max(total, 1), most / math.max(total, 1)
end

local function changes(report)
  local rows, plan = {}, report.rebalance
  local total, full = shares_of(report.shards)
  local _, full_after = shares_of(plan.after)
  full = math.max(full, full_after)
  for _, shard in ipairs(report.shards) do full = math.max(full, shard.ideal) end
  for i, shard in ipairs(report.shards) do
    local before, after = shard.count or 0, plan.after[i].count
    local chart = charts.change { before = before / total, after = after / total, mark = shard.ideal, full = full,
      title = ("%s: %d keys, then %d"):format(shard.binding, before, after) }
    rows[i] = ('<tr><th scope="row">%s</th><td class="chart">%s</td><td class="number">%s</td><td class="number">'
      .. "%s</td></tr>"):format(user(shard.binding, 40), chart, count(before), count(after))
  end
  return '<table class="shares changes"><caption>Keys, now and then</caption>'
    .. text.heading({ "shard", "share" }, { "now", "then" }) .. "<tbody>" .. table.concat(rows, "\n")
    .. "</tbody></table>"
end

local function flow(move)
  return ('<tr><td>%s → %s</td><td class="number">%s</td><td class="number">%s</td></tr>'):format(user(move.from),
    user(move.to), count(move.keys), size(move.bytes))
end

local function flows(plan)
  local rows = {}
  table.move(plan.moves, 1, #plan.moves, 1, rows)
  table.sort(rows, function(a, b) return a.keys > b.keys end)
  return '<table class="flows"><caption>What would move</caption>' .. text.heading({ "from → to" }, { "keys", "about" })
    .. "<tbody>" .. first(rows, flow, ROW) .. "</tbody></table>"
end

local LEGEND <const> = [[<ul class="legend">
<li><svg viewBox="0 0 14 14" aria-hidden="true"><circle class="before" cx="7" cy="7" r="4"/></svg>now</li>
<li><svg viewBox="0 0 14 14" aria-hidden="true"><circle class="after" cx="7" cy="7" r="5"/></svg>after a rebalance</li>
<li><svg viewBox="0 0 14 14" aria-hidden="true"><path class="mark" d="M7 0v14"/></svg>the share by weight</li></ul>]]

---@param report collegedb.Report
---@return string html
function outlook.rebalance(report)
  local plan, bytes = report.rebalance, 0
  if plan.error then return section("rebalance", "Rebalancing", "It could not be planned: " .. user(plan.error)) end
  if #plan.moves == 0 then
    return section("rebalance", "Rebalancing", "<code>collegedb rebalance</code> would move nothing.")
  end
  for _, move in ipairs(plan.moves) do bytes = bytes + move.bytes end
  local lead = ("<code>collegedb rebalance</code> would move %s, about %s."):format(plural(plan.keys, "key"),
    size(bytes))
  if plan.balance and report.balance.keys then
    local form = " Now one shard has %s times the keys that its weight gives it; then none would have more than %s."
    lead = lead .. form:format(text.number(report.balance.keys.ratio), text.number(plan.balance.ratio))
  end
  return section("rebalance", "Rebalancing", lead, '<div class="pair"><div>' .. changes(report) .. LEGEND .. "</div>"
    .. flows(plan) .. "</div>")
end

return outlook
