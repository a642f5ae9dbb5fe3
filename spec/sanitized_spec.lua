-- A few specs with what finds wrong memory accesses, undefined behaviour, races, and values that Lua's collector takes
-- away too early. The whole suite with each of them is `make proof`: docs/proof.md.

local process = require "spec.support.process"

local MEMORY <const> = "spec/core spec/route_spec.lua spec/each_spec.lua spec/transaction_spec.lua "
  .. "spec/values_spec.lua spec/d1_spec.lua spec/bin/interactive_spec.lua"
local THREADS <const> = "spec/background_spec.lua"
local COLLECTOR <const> = "spec/each_spec.lua spec/transaction_spec.lua spec/values_spec.lua spec/params_spec.lua"

local function is_wanted()
  local is_plain = (os.getenv "CDB_SANITIZE" or "") == "" and not os.getenv "CDB_VALGRIND" and not os.getenv "LUA_INIT"
    and (os.getenv "CDB_COVERAGE" or "") == ""
  return is_plain and (os.getenv "CI" or os.getenv "CDB_PROOF")
end

---@param specs string files, and folders of them
local function files(specs)
  local list = process.run { "sh", "-c", "find " .. specs .. " -name '*_spec.lua' | LC_ALL=C sort | tr '\n' ' '" }
  return list.stdout
end

local function make(arguments, specs)
  local line = "env -u MAKEFLAGS -u MAKELEVEL BOOTSTRAP=true make -j2 %s SPEC='%s' 2>&1"
  line = line:format(arguments, files(specs))
  local result = process.run({ "sh", "-c", line }, { timeout = 280 })
  assert(result.status == 0 and result.stdout:match "\n[1-9]%d* passed, 0 failed, %d+ skipped\n$", result.stdout)
end

describe("with every check of the compiler, some specs", function()
  for what, arguments in pairs {
    ["touch no memory that is not theirs, and do nothing undefined"] = { "SANITIZE=address,undefined test", MEMORY },
    ["have no races between threads"] = { "SANITIZE=thread test", THREADS },
    ["lose no value to the collector"] = { "GC=20 stress", COLLECTOR },
  } do
    it(what, function()
      if not is_wanted() then pending "only with CI or CDB_PROOF set: it builds all again" end
      make(table.unpack(arguments))
    end)
  end
end)
