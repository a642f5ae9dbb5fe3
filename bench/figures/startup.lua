-- From exec to exit: the interpreter with an empty script against stock Lua with an empty one.

local floor = require "floor"
local measure = require "bench.measure"

-- Instructions of a whole run.
local function instructions(ctx, command)
  local path = ctx.tmp .. "/callgrind.startup"
  local valgrind = "valgrind -q --tool=callgrind --callgrind-out-file='%s' %s >/dev/null 2>&1"
  if not os.execute(valgrind:format(path, command)) then return nil end
  local file <close> = assert(io.open(path))
  return tonumber(file:read("a"):match "\ntotals: (%d+)")
end

local function run(ctx)
  local script, program = ctx.tmp .. "/empty.lua", ctx.build .. "/collegedb"
  assert(io.open(script, "w")):close()
  local time = measure.alternate {
    base = function(from, to) for _ = from, to do floor.spawn(program, script) end end,
    ours = function(from, to) for _ = from, to do floor.spawn("lua5.4", "-e", "") end end,
    calls = 40, slice = 2, rounds = ctx.quick and 5 or 15,
  }
  local rows = { {
    what = "start-up of the interpreter, an empty script", reach = "≤ 2 × `lua5.4 -e ''`", met = time.ratio <= 2,
    measured = ("%.2f × (%.2f ms, lua5.4 %.2f ms)"):format(time.ratio, time.base * 1e3, time.ours * 1e3),
  } }
  local ours, stock = instructions(ctx, program .. " " .. script), instructions(ctx, "lua5.4 -e ''")
  if ours and stock then
    local ratio = ours / stock
    rows[2] = { what = "start-up: instructions", measured = ("%.2f × (%.0f, lua5.4 %.0f)"):format(ratio, ours, stock) }
  end
  return rows
end

return { run = run }
