--- What the commands rebalance and drain share: their options, and how they tell what was done.

local errors = require "collegedb.errors"

local move_command = {}

local SHOWN <const> = 20 -- keys that can not be moved, on the screen

--- Adds the options to an argparse parser.
function move_command.options(parser)
  parser:option("--policy", "The policy that says where keys go."):argname "NAME"
  parser:option("--rate", "At most so many keys a second."):argname("KEYS"):convert(tonumber)
  parser:flag("--dry-run", "Only say what would be moved.")
end

local function size_text(bytes)
  for _, unit in ipairs { { 1 << 30, "GiB" }, { 1 << 20, "MiB" }, { 1 << 10, "KiB" } } do
    if bytes >= unit[1] then return ("%.1f %s"):format(bytes / unit[1], unit[2]) end
  end
  return bytes .. " B"
end

local function print_plan(ctx, report)
  local rows = {}
  for i, each in ipairs(report.moves) do
    rows[i] = { from = each.from, to = each.to, keys = each.keys, size = "about " .. size_text(each.bytes) }
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
    print(("  %s (%s to %s): %s"):format(tostring(each.key), each.from, each.to, each.message))
  end
  if report.sealed then print "the shard is empty and closed: it can be taken out of the config" end
  if report.waiting then
    print "an earlier placement is kept: a program still works in it; run rebalance again when it has looked or ended"
  end
end

--- Runs it, and prints the report.
---@param ctx collegedb.CommandContext
---@param how_to_resume string the command line
---@param work fun(opts: table): collegedb.RebalanceReport
---@return integer status
function move_command.run(ctx, how_to_resume, work)
  local done, report = pcall(work, {
    policy = ctx.args.policy, rate = ctx.args.rate, dry_run = ctx.args.dry_run or false,
    on_progress = function(moved, total, label, info)
      local pace = info.remaining and (" (%.0f keys/s, %.0f s left)"):format(info.rate, info.remaining) or ""
      ctx.progress(moved, total, label .. pace)
    end,
  })
  ctx.progress()
  if not done and errors.is_interrupt(report) then
    io.stderr:write("interrupted; to go on: ", how_to_resume, "\n")
    return 130
  end
  if not done then error(report, 0) end
  if ctx.args.json then ctx.print_json(report) else print_report(ctx, report) end
  return report.success and 0 or report.dry_run and 0 or 3
end

--- The command line that does the same again.
---@param words string[] the command and its arguments
function move_command.line(ctx, words)
  local line = { "collegedb", table.unpack(words) }
  local function add(...)
    for _, word in ipairs { ... } do
      line[#line + 1] = word:find "^[%w_./,@%%+=:-]+$" and word or "'" .. word:gsub("'", [['\'']]) .. "'"
    end
  end
  if ctx.args.policy then add("--policy", ctx.args.policy) end
  if ctx.args.rate then add("--rate", ("%.14g"):format(ctx.args.rate)) end
  if ctx.args.config ~= "./collegedb.lua" then add("--config", ctx.args.config) end
  return table.concat(line, " ")
end

return move_command
