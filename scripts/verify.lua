-- collegedb verify: compares rows, keys and entries. Findings are exit status 3; with --repair those that are left.

local terminal = require "collegedb.terminal"

local plain = terminal.plain
local shown <const> = 20 -- findings that are printed; --json has them all

local kinds <const> = { "doubled", "misplaced", "unmapped", "orphaned", "leftover", "lost",
  "unpublished" }

local MOVING <const> = "%d keys are of moves that are not over: their programs work, or have died, and then the moves "
  .. "can be ended in %d s"

local function print_counts(report)
  print(("%d keys, %d entries, %s of them without rows"):format(report.keys, report.entries,
    report.entries_without_rows or "an unknown number"))
  if report.probed > 0 then print(("%d keys are found by looking at the shards"):format(report.probed)) end
  if report.unusable > 0 then print(("%d rows have no usable key"):format(report.unusable)) end
  if report.kept > 0 then print(("%d keys are on two shards by the will of the rules"):format(report.kept)) end
  if report.bare_fences > 0 then print(("%d shards have a fence around nothing"):format(report.bare_fences)) end
  if report.moving > 0 then print(MOVING:format(report.moving, report.moving_seconds)) end
  for _, each in ipairs(report.unchecked) do print("not looked at: " .. plain(each)) end
  for _, each in ipairs(report.repairs) do print("repaired: " .. plain(each)) end
  for _, kind in ipairs(kinds) do
    if (report.counts[kind] or 0) > 0 then print(("%s: %d"):format(kind, report.counts[kind])) end
  end
end

local function sentence(each)
  local about = each.key ~= nil and tostring(each.key) .. " " or each.move and ("move %d "):format(each.move) or ""
  local where = each.other_shard and ("%s and %s"):format(each.shard, each.other_shard) or each.shard
  return plain(("%s%s (%s): %s%s; %s"):format(each.kind, each.table and " in " .. each.table or "", where, about,
    each.what, each.advice))
end

local function print_findings(report)
  for i, each in ipairs(report.findings) do
    if i > shown then
      print "  … and more: --json has the first 1,000 of each kind"
      break
    end
    print("  " .. sentence(each))
  end
end

return {
  summary = "Compare every row with where its key is looked for, and repair.",
  usage = "verify [--repair] [--rate N] [--dry-run]",
  group = "Looking after it",
  examples = {
    { "collegedb verify", "Compares every row with where its key is looked for." },
    { "collegedb verify --rate 10000", "The same, 10,000 rows a second at most." },
    { "collegedb verify --repair", "Repairs what has one right answer." },
  },
  exits = { [3] = "there are findings; with --repair, some that are left" },
  resume = true,
  auto_migrate = false,
  options = function(parser)
    parser:flag("--repair", "Repair what has one right answer.")
    parser:flag("--dry-run", "Repair nothing.")
    parser:option("--rate", "Look at N rows a second at most."):argname "N":convert(tonumber)
  end,
  run = function(ctx)
    local report = ctx.db:verify { repair = ctx.args.repair or false, dry_run = ctx.args.dry_run or false,
      rate = ctx.args.rate, on_progress = ctx.progress }
    ctx.progress()
    if ctx.args.json then
      ctx.print_json(report)
    else
      print_counts(report)
      print_findings(report)
      print(report.success and terminal.paint("all is well", "green") or terminal.paint("there are findings", "red"))
    end
    return report.success and 0 or 3
  end,
}
