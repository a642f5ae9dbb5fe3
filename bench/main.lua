-- Runs the figures one after the other, each in a process of its own, prints their rows, and writes docs/benchmarks.md
-- when all were measured in full. Started by bench/run.

local report = require "bench.report"

local ALL <const> = {
  "first", "update", "insert", "cold", "luasql", "locate", "cache", "integrate", "processes", "placement", "startup",
  "rebalance", "moving", "d1", "gateway", "coordinator",
}

local chosen = #arg > 0 and arg or ALL
local rows, failed = {}, 0
for _, name in ipairs(chosen) do
  local result = os.getenv "BENCH_TMP" .. "/result.lua"
  if os.execute(("lua5.4 bench/figure.lua run '%s' '%s'"):format(name, result)) then
    for _, row in ipairs(dofile(result)) do
      rows[#rows + 1] = row
      print(report.line(row))
    end
  else
    failed = failed + 1
    print(("figure %s could not be measured"):format(name))
  end
end
print(report.summary(rows))
if failed == 0 and chosen == ALL and os.getenv "BENCH_QUICK" == "0" then
  report.write("docs/benchmarks.md", rows)
  print "written: docs/benchmarks.md"
end
os.exit(failed == 0)
