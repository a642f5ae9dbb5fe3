-- Runs one figure in a process of its own: figure.lua run NAME RESULT, or figure.lua counted NAME.
-- BENCH_TMP is a directory for its files, BENCH_QUICK is set for a short run.

local what, name, result = table.unpack(arg)
local figure = require("bench.figures." .. name)
local ctx = { tmp = os.getenv "BENCH_TMP", quick = os.getenv "BENCH_QUICK" == "1", build = os.getenv "BENCH_BUILD" }

local function literal(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for key, each in pairs(value) do parts[#parts + 1] = ("[%q] = %s"):format(key, literal(each)) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

if what == "counted" then
  local floor = require "floor"
  for _, section in ipairs(figure.counted(ctx)) do
    collectgarbage()
    floor.counted(section[1], section[2])
  end
else
  local rows = figure.run(ctx)
  local file <close> = assert(io.open(result, "w"))
  file:write("return ", literal(rows), "\n")
end
