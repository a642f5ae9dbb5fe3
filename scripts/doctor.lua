-- collegedb doctor: whether the set-up is in order, and how to mend what is not. Faults are exit status 3.

local core = require "collegedb.core"
local doctor = require "collegedb.doctor"
local terminal = require "collegedb.terminal"

local STYLES <const> = { ok = "green", note = "yellow", fault = "red" }

local plain = terminal.plain

local function print_report(report)
  for _, each in ipairs(report.repairs) do print("repaired: " .. plain(each)) end
  for _, each in ipairs(report.diagnoses) do
    print(("%s %s: %s"):format(terminal.paint(("%-5s"):format(each.state), STYLES[each.state]), plain(each.about),
      plain(each.what)))
    if each.mend then print("      to mend: " .. plain(each.mend)) end
  end
  print(terminal.paint(report.success and "all is well" or "there are faults", report.success and "green" or "red"))
end

local function text_of(path)
  local file <close> = io.open(path, "r")
  return file and file:read "a"
end

-- Also one that may not be read.
local function is_there(path)
  local facts, reason = core.file_facts(path)
  return facts ~= nil or reason ~= "No such file or directory"
end

-- A config that is there, and fails, is a finding; one that is not there is none.
local function examine(ctx)
  local path = ctx.args.config
  local done, given = pcall(function() return ctx.config end)
  if not done and is_there(path) then return doctor.unreadable(given) end
  if not done then error(given, 0) end
  return doctor.run(given, ctx.args.repair and not ctx.args.dry_run,
    { config_path = path, config_text = text_of(path) })
end

return {
  summary = "Say whether the set-up is in order, and how to mend it.",
  usage = "doctor [--repair] [--dry-run]",
  description = "Looks at the config, its files and their permissions, at services and tokens, the directory, moves "
    .. "that were left half way, and missing indexes. Changes nothing without --repair.",
  group = "Looking after it",
  resume = true,
  examples = {
    { "collegedb doctor", "Says what is wrong, and how to mend it." },
    { "collegedb doctor --repair", "Ends what dead programs have left, and takes existing data over." },
    { "collegedb doctor --json", "Writes it as { success, diagnoses, repairs }." },
  },
  exits = { [3] = "there are faults" },
  auto_migrate = false,
  options = function(parser)
    parser:flag("--repair", "End what dead programs have left, and take over what awaits it.")
    parser:flag("--dry-run", "Repair nothing.")
  end,
  run = function(ctx)
    local report = examine(ctx)
    if ctx.args.json then ctx.print_json(report) else print_report(report) end
    return report.success and 0 or 3
  end,
}
