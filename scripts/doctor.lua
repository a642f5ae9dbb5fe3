-- collegedb doctor: whether the set-up is in order, and how to mend what is not. Faults are exit status 3.

local doctor = require "collegedb.doctor"

local function print_report(report)
  for _, each in ipairs(report.repairs) do print("repaired: " .. each) end
  for _, each in ipairs(report.diagnoses) do
    print(("%-5s %s: %s"):format(each.state, each.about, each.what))
    if each.mend then print("      to mend: " .. each.mend) end
  end
  print(report.success and "all is well" or "there are faults")
end

return {
  summary = "Say whether the set-up is in order, and how to mend it.",
  usage = "doctor [--repair] [--dry-run]",
  auto_migrate = false,
  options = function(parser)
    parser:flag("--repair", "End what dead programs have left, and take over what awaits it.")
    parser:flag("--dry-run", "Repair nothing.")
  end,
  run = function(ctx)
    local report = doctor.run(ctx.config, ctx.args.repair and not ctx.args.dry_run)
    if ctx.args.json then ctx.print_json(report) else print_report(report) end
    return report.success and 0 or 3
  end,
}
