-- What is printed of a run.

local wire = require "spec.property.wire"

local report = {}

---A failing case, so that it can be read, and run again: driver.run(CASE).
---@param case table
---@param failure string?
---@param runs integer
function report.failure(case, failure, runs)
  local lines = { ("the shortest that was found in %d runs: %s"):format(runs, failure or "it does not fail any more"),
    "{ setup = " .. wire.source(case.setup) .. ",", "  ops = {" }
  for i, op in ipairs(case.ops) do lines[i + 3] = "    " .. wire.source(op) .. "," end
  lines[#lines + 1] = "  } }"
  return table.concat(lines, "\n")
end

---@param kinds table<string, integer> by what was done
function report.counts(kinds)
  local list = {}
  for name, n in pairs(kinds) do list[#list + 1] = ("%s %d"):format(name, n) end
  table.sort(list)
  return table.concat(list, ", ")
end

return report
