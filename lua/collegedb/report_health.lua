--- What in a report needs somebody's attention, worst first: one line a finding, and one word for the whole.

local verify_report = require "collegedb.verify_report"

local report_health = {}

---@class collegedb.ReportFinding
---@field state "bad"|"attention"
---@field text string
---@field section "shards"|"errors"|"directory"|"verify"|"doctor" where the page says more

---Of failed statements, more than which is worth a look.
report_health.ERROR_SHARE = 0.01

local function plural(n, one, many) return ("%d %s"):format(n, n == 1 and one or many) end

local function of_shards(add, self)
  for _, shard in ipairs(self.shards) do
    if shard.state == "unreachable" then
      add("bad", "shards", ("%s does not answer: %s"):format(shard.binding, shard.error and shard.error.message
        or "no reason is known"))
    elseif not shard.integrated and not shard.external_writers and shard.state ~= "new" then
      add("attention", "shards", ("%s: its rows are not taken over; collegedb integrate does it"):format(shard.binding))
    end
    if (shard.conflicts or 0) > 0 then
      add("attention", "shards", ("%s: its integration met %s"):format(shard.binding,
        plural(shard.conflicts, "conflict", "conflicts")))
    end
  end
end

--- The share of statements that failed, of a shard or of all; nil where none ran.
---@param counts { reads: integer?, writes: integer?, errors: integer? }
---@return number?
function report_health.error_share(counts)
  local ran, failed = (counts.reads or 0) + (counts.writes or 0), counts.errors or 0
  if ran == 0 and failed == 0 then return nil end
  return failed / math.max(ran, failed)
end

local function of_errors(add, self)
  for _, shard in ipairs(self.shards) do
    local share = report_health.error_share(shard)
    if share and share > report_health.ERROR_SHARE then
      add("attention", "errors", ("%s: %.1f %% of its statements failed"):format(shard.binding, share * 100))
    end
  end
end

local function of_directory(add, self)
  local directory, waiting = self.directory, self.moves.waiting
  for _, each in ipairs(self.diagnoses and {} or self.problems or {}) do
    add("bad", "directory", ("%s: %s"):format(each.about, each.message))
  end
  if directory.error then add("bad", "directory", "the directory does not answer: " .. directory.error.message) end
  if waiting > 0 then
    add("bad", "directory", plural(waiting, "move has lost its program", "moves have lost their programs")
      .. "; collegedb doctor --repair ends that")
  end
  if (directory.retiring or 0) > 0 and not directory.stays then
    add("attention", "directory", "keys are also looked for where earlier shards or weights placed them, until "
      .. "collegedb rebalance has moved them")
  end
end

local function of_verify(add, self)
  local verify, kinds = self.verify, {}
  for kind, n in pairs(verify.counts or {}) do
    if n > 0 then kinds[#kinds + 1] = kind end
  end
  table.sort(kinds, function(a, b)
    local more, less = verify.counts[a], verify.counts[b]
    return more ~= less and more > less or more == less and a < b
  end)
  for _, kind in ipairs(kinds) do
    add(kind == "lost" and "bad" or "attention", "verify", ("%d %s: each %s"):format(verify.counts[kind], kind,
      verify_report.kinds[kind]))
  end
end

-- Why the database does not open, or else why nothing could be verified; unless that is said already.
local function of_opening(add, self)
  local told = false
  for _, each in ipairs(self.diagnoses or {}) do
    if each.state == "fault" then
      add("bad", "doctor", ("%s: %s"):format(each.about, each.what))
      told = true
    end
  end
  local why = self.diagnoses and self.rebalance.error or self.verify.error
  if told or not why or why:find "does not answer$" then return end
  add(self.diagnoses and "bad" or "attention", "verify", why)
end

--- The health of what a report has collected.
---@param self collegedb.Report
---@return { state: "good"|"attention"|"bad", findings: collegedb.ReportFinding[] }
function report_health.of(self)
  local findings = { bad = {}, attention = {} }
  local function add(state, section, text)
    table.insert(findings[state], { state = state, section = section, text = text })
  end
  of_shards(add, self)
  of_directory(add, self)
  of_opening(add, self)
  of_errors(add, self)
  of_verify(add, self)
  local bad, attention = findings.bad, findings.attention
  local state = #bad > 0 and "bad" or #attention > 0 and "attention" or "good"
  return { state = state, findings = table.move(attention, 1, #attention, #bad + 1, bad) }
end

return report_health
