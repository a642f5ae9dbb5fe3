--- What verify reports: exact counts, the first findings of each kind, what was repaired, and what a person must
-- decide.

local reports = {}

local SHOWN <const> = 1000 -- findings of each kind that are listed

--- The kinds of findings: docs/moving.md says of each what it means.
reports.kinds = {
  doubled = "has rows on two shards",
  misplaced = "has its rows on a shard where nobody looks for them",
  unmapped = "has rows, but neither an entry nor a home",
  orphaned = "follows a row that is not there",
  leftover = "was left over by a move that is not over",
  lost = "was sent to a shard that does not know of it",
  unpublished = "is not in Workers KV, or on another shard there",
}

---@class collegedb.Finding
---@field kind "doubled"|"misplaced"|"unmapped"|"orphaned"|"leftover"|"lost"|"unpublished"
---@field what string the kind in words
---@field advice string what to do
---@field key any
---@field table string?
---@field shard string where it was found
---@field other_shard string?
---@field rows integer?

--- The report of a run that has found nothing yet.
---@param published boolean? entries are published, and compared
function reports.new(published)
  local self = {
    keys = 0, probed = 0, unusable = 0, kept = 0, bare_fences = 0, moving = 0, moving_seconds = 0,
    counts = {}, findings = {}, repaired = 0, repairs = {}, decide = {}, unchecked = {},
  }
  for kind in pairs(reports.kinds) do self.counts[kind] = 0 end
  if not published then self.counts.unpublished = nil end
  return self
end

--- Adds a finding. `n`: how much it counts for.
---@param finding table its kind and what it is about
---@param decide boolean? no repair has the right answer
function reports.add(report, finding, decide, n)
  local kind = finding.kind
  local before = report.counts[kind]
  finding.what = finding.what or reports.kinds[kind]
  report.counts[kind] = before + (n or 1)
  if before >= SHOWN then return end
  report.findings[#report.findings + 1] = finding
  if decide then report.decide[#report.decide + 1] = finding end
end

--- Adds what was repaired, a sentence; the count is exact, the list is not endless.
function reports.repaired(report, form, ...)
  report.repaired = report.repaired + 1
  if #report.repairs < SHOWN then report.repairs[#report.repairs + 1] = form:format(...) end
end

return reports
