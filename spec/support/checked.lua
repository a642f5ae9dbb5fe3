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
---@param arguments string of make
---@param specs string files
function checked.run(pending, arguments, specs)
  if not is_wanted() then pending "only with CI or CDB_PROOF set: it builds all again" end
  -- Without optimizing it is built in half the time.
  local line = "env -u MAKEFLAGS -u MAKELEVEL CDB_NO_INSTALL=1 make -j2 CFLAGS='-O1 -g' %s SPEC='%s' 2>&1"
  local result = process.run({ "sh", "-c", line:format(arguments, specs) }, { timeout = 290 })
  assert(result.status == 0 and result.stdout:match "\n[1-9]%d* passed, 0 failed, %d+ skipped\n$", result.stdout)
end

return checked
