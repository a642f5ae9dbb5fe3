--- What in a report needs somebody's attention, worst first: one line a finding, and one word for the whole.

local verify_report = require "collegedb.verify_report"

local report_health = {}

---@class collegedb.ReportFinding
---@field state "bad"|"attention"
---@field text string
---@field section "shards"|"latency"|"errors"|"directory"|"verify"|"rebalance"|"doctor" where the report says more

-- Of failed statements, more than which is worth a look.
local ERROR_SHARE <const> = 0.01

local function plural(n, one, many) return ("%d %s"):format(n, n == 1 and one or many) end

local function of_shards(add, self)
  for _, shard in ipairs(self.shards) do
    if not shard.reachable then
      add("bad", "shards", ("%s does not answer: %s"):format(shard.name, shard.error or "no reason is known"))
    elseif shard.state == "waiting" then
      add("attention", "shards", shard.name .. ": its rows are not taken over yet")
    end
    if shard.conflicts > 0 then
      add("attention", "shards", ("%s: its integration met %s"):format(shard.name,
        plural(shard.conflicts, "conflict", "conflicts")))
    end
  end
end

local function of_errors(add, self)
  for _, shard in ipairs(self.shards) do
    local share = report_health.error_share(shard.measured)
    if share and share > ERROR_SHARE then
      add("attention", "errors", ("%s: %.1f %% of its statements failed"):format(shard.name, share * 100))
    end
  end
end

local function of_directory(add, self)
  local left, directory = 0, self.directory
  for _, move in ipairs(directory.moves) do left = left + (move.left and 1 or 0) end
  if left > 0 then
    add("bad", "directory", plural(left, "move was", "moves were") .. " left half way: collegedb doctor --repair")
  end
  if directory.retiring > 0 then
    add("attention", "directory", "keys are also looked for where earlier shards or weights placed them, until "
      .. "collegedb rebalance has moved them")
  end
end

local function of_verify(add, self)
  local verify, kinds = self.verify, {}
  if verify.error then return add("attention", "verify", "it could not be verified: " .. verify.error) end
  for kind in pairs(verify.counts or {}) do kinds[#kinds + 1] = kind end
  table.sort(kinds, function(a, b)
    if verify.counts[a] ~= verify.counts[b] then return verify.counts[a] > verify.counts[b] end
    return a < b
  end)
  for _, kind in ipairs(kinds) do
    local n = verify.counts[kind]
    if n > 0 then
      add(kind == "lost" and "bad" or "attention", "verify", ("%d %s: each %s"):format(n, kind,
        verify_report.kinds[kind]))
    end
  end
end

local function of_doctor(add, self)
  for _, each in ipairs(self.diagnoses) do
    if each.state == "fault" then add("bad", "doctor", ("%s: %s"):format(each.about, each.what)) end
  end
end

--- The share of a shard's statements that failed, or nil where none ran.
---@param measured { reads: integer, writes: integer, errors: integer }? a shard's part of db:statistics()
---@return number?
function report_health.error_share(measured)
  local ran = measured and measured.reads + measured.writes or 0
  if ran == 0 and (not measured or measured.errors == 0) then return nil end
  return measured.errors / math.max(ran, measured.errors)
end

--- The health of what a report has collected.
---@param self collegedb.Report
---@return { state: "good"|"attention"|"bad", findings: collegedb.ReportFinding[] }
function report_health.of(self)
  local findings, worst = { bad = {}, attention = {} }, "good"
  local function add(state, section, text)
    local list = findings[state]
    list[#list + 1] = { state = state, section = section, text = text }
  end
  if self.opened then
    of_shards(add, self)
    of_errors(add, self)
    of_directory(add, self)
    of_verify(add, self)
  else
    of_doctor(add, self)
  end
  if #findings.attention > 0 then worst = "attention" end
  if #findings.bad > 0 or not self.opened then worst = "bad" end
  table.move(findings.attention, 1, #findings.attention, #findings.bad + 1, findings.bad)
  return { state = worst, findings = findings.bad }
end

return report_health
