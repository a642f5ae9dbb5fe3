-- Runs some specs with what finds mistakes in memory, threads and collecting. The whole suite with each of them is
-- `make proof`: docs/proof.md.

local process = require "spec.support.process"

local checked = {}

local function is_wanted()
  local is_plain = (os.getenv "CDB_SANITIZE" or "") == "" and (os.getenv "CDB_COVERAGE" or "") == ""
    and not os.getenv "CDB_VALGRIND" and not os.getenv "LUA_INIT"
  return is_plain and (os.getenv "CI" or os.getenv "CDB_PROOF")
end

---@param pending fun(why: string) busted's, of the spec
---@param line string for the shell; its last line of output must be the counts
local function run(pending, line)
  if not is_wanted() then pending "only with CI or CDB_PROOF set: it takes a minute" end
  local result = process.run({ "sh", "-c", line .. " 2>&1" }, { timeout = 290 })
  assert(result.status == 0 and result.stdout:match "\n[1-9]%d* passed, 0 failed, %d+ skipped\n$", result.stdout)
end

---Builds with the sanitizers in a folder of its own, and runs the specs.
---@param pending fun(why: string)
---@param sanitizers string
---@param specs string files
function checked.sanitized(pending, sanitizers, specs)
  -- Without much optimizing it is built in half the time.
  local line = "env -u MAKEFLAGS -u MAKELEVEL CDB_NO_INSTALL=1 make -j2 CFLAGS='-O1 -g' B=build/quick/%s SANITIZE=%s "
    .. "SPEC='%s' test"
  run(pending, line:format((sanitizers:gsub(",", "-")), sanitizers, specs))
end

---Runs the specs with a collector that takes all garbage at each n-th value (spec/support/gc_stress.c).
---@param pending fun(why: string)
---@param n integer
---@param specs string files
function checked.collected(pending, n, specs)
  local build = process.build
  if build:sub(1, 1) ~= "/" then build = require("lfs").currentdir() .. "/" .. build end
  local init = ("package.loadlib('%s/spec/gc_stress.so', 'luaopen_gc_stress')(%d)"):format(build, n)
  run(pending, ('CDB_BUILD=%s LUA_INIT="%s" lua5.4 spec/run %s'):format(process.quote(build), init, specs))
end

return checked
