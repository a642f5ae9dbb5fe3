-- Each fuzz target (spec/fuzz/*.c) for CDB_FUZZ_SECONDS, on what is in its corpus and on what it makes of that.
-- `make fuzz` goes on for an hour each; docs/proof.md.

local runner = require "spec.fuzz.runner"

local ci = os.getenv "CI" == "true"
local seconds = tonumber(os.getenv "CDB_FUZZ_SECONDS") or (ci and 60 or 5)

local AT_ONCE <const> = 3

local function reason_to_skip()
  if (os.getenv "CDB_SANITIZE" or "") ~= "" or os.getenv "CDB_VALGRIND" then return "it has sanitizers of its own" end
  local missing = runner.missing()
  if missing and os.getenv "CI" then error(missing, 0) end
  return missing
end

describe("fuzzing", function()
  local skipped

  setup(function()
    skipped = reason_to_skip()
    local wrong = not skipped and runner.build()
    assert(not wrong, wrong)
  end)

  for first = 1, #runner.targets, AT_ONCE do
    local names = table.move(runner.targets, first, math.min(first + AT_ONCE - 1, #runner.targets), 1, {})
    it("finds nothing in " .. table.concat(names, ", "), function()
      if skipped then pending(skipped) end
      local runs, found = {}, {}
      for i, name in ipairs(names) do runs[i] = runner.start(name, seconds) end
      for _, run in ipairs(runs) do
        local result = runner.finish(run)
        if result.finding then found[#found + 1] = result.name .. ":\n" .. result.finding end
      end
      assert(#found == 0, table.concat(found, "\n\n"))
    end)
  end
end)
