--- What the commands rebalance and drain share: their options, and how they tell what was done.

local terminal = require "collegedb.terminal"

local move_command = {}

local plain = terminal.plain
local SHOWN <const> = 20 -- keys that can not be moved, on the screen

--- Adds the options to an argparse parser.
function move_command.options(parser)
  parser:option("--policy", "The policy that says where keys go."):argname "NAME"
  parser:option("--rate", "At most so many keys a second."):argname("KEYS"):convert(tonumber)
  parser:flag("--dry-run", "Only say what would be moved.")
end

local function print_plan(ctx, report)
  local rows = {}
  for i, each in ipairs(report.moves) do
    rows[i] = { from = each.from, to = each.to, keys = each.keys, size = "about " .. terminal.size_text(each.bytes) }
  end
  if #rows > 0 then ctx.print_table(rows, { "from", "to", "keys", "size" }) end
end

local function print_report(ctx, report)
  print_plan(ctx, report)
  if report.dry_run then
    print(("%d keys would be moved"):format(report.planned))
    return
  end
  print(("%d keys moved, %d rows; %d keys could not be"):format(report.moved, report.rows, report.failed_count))
  for i, each in ipairs(report.failed) do
    if i > SHOWN then
      print(("  … and %d more"):format(report.failed_count - SHOWN))
      break
    end
    print("  " .. plain(("%s (%s to %s): %s"):format(tostring(each.key), each.from, each.to, each.message)))
  end
  if report.sealed then print "the shard is empty and closed: it can be taken out of the config" end
  if report.waiting then
    print "an earlier placement is kept: a program still works in it; run rebalance again when it has looked or ended"
  end
end

--- Runs it, and prints the report.
---@param ctx collegedb.CommandContext
---@param work fun(opts: table): collegedb.RebalanceReport
---@return integer status
function move_command.run(ctx, work)
  local report = work { policy = ctx.args.policy, rate = ctx.args.rate, dry_run = ctx.args.dry_run or false,
    on_progress = function(...) ctx.progress(...) end }
  ctx.progress()
  if ctx.args.json then ctx.print_json(report) else print_report(ctx, report) end
  return report.success and 0 or report.dry_run and 0 or 3
end

return move_command
