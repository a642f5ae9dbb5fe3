-- Runs one figure in a process of its own:
--   figure.lua run NAME RESULT      all of it; the rows of the table go to the file RESULT
--   figure.lua counted NAME WORD …  its loops under callgrind, each in a section of its own
--   figure.lua part NAME WORD …     what it wants in yet another process; prints what that returns
-- BENCH_TMP is a directory for files, BENCH_BUILD the build, BENCH_QUICK=1 a short run.

local floor = require "floor"

local what, name = arg[1], arg[2]
local figure = require("bench.figures." .. name)
local ctx = { tmp = os.getenv "BENCH_TMP", quick = os.getenv "BENCH_QUICK" == "1", build = os.getenv "BENCH_BUILD" }

local function literal(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for key, each in pairs(value) do parts[#parts + 1] = ("[%q] = %s"):format(key, literal(each)) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local actions = {}

function actions.run(result)
  local file <close> = assert(io.open(result, "w"))
  file:write("return ", literal(figure.run(ctx)), "\n")
end

function actions.counted(...)
  for _, section in ipairs(figure.counted(ctx, ...)) do
    collectgarbage()
    floor.counted(section[1], section[2])
  end
end

function actions.part(...) print(figure.part(ctx, ...)) end

actions[what](table.unpack(arg, 3))
