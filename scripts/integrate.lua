-- collegedb integrate: takes the existing rows of shards over, and lists what conflicts. Conflicts and other
-- findings are exit status 3; what stops the work is a failure like any other, 1.

local terminal = require "collegedb.terminal"

local plain = terminal.plain
local conflicts_shown <const> = 20

local function split(list)
  if not list then return nil end
  local names = {}
  for name in list:gmatch "[^,]+" do names[#names + 1] = name end
  return names
end

local function print_report(report)
  print(("%s: %d tables, %d records, %d mappings created, %d conflicts"):format(report.shard_name,
    report.tables_processed, report.total_records, report.mappings_created, report.conflict_count))
  for _, issue in ipairs(report.issues) do print("  " .. terminal.paint("issue:", "yellow") .. " " .. plain(issue)) end
  for _, note in ipairs(report.notes) do print("  note: " .. plain(note)) end
  for i, conflict in ipairs(report.conflicts) do
    if i > conflicts_shown then
      print(("  … and %d more conflicts"):format(report.conflict_count - conflicts_shown))
      break
    end
    print(("  %s %s of %s is on %s and on %s%s"):format(terminal.paint("conflict:", "red"), plain(conflict.key),
      plain(conflict.table), conflict.shard, conflict.other_shard, conflict.resolved and ", which stands" or ""))
  end
end

local function integrate(ctx, name)
  local report = ctx.db:integrate(name, {
    tables = split(ctx.args.tables), dry_run = ctx.args.dry_run or false, resume = ctx.args.resume or false,
    on_progress = function(done, total, label)
      ctx.progress(done, total, label and label ~= "" and name .. " " .. label or name)
    end,
  })
  ctx.progress()
  return report
end

-- After Ctrl-C: this shard and those that were to come. Of a dry run nothing is noted.
local function arguments_left(ctx)
  local words = table.move(ctx.left or ctx.args.shards, 1, #(ctx.left or ctx.args.shards), 1, {})
  local function add(...) table.move({ ... }, 1, select("#", ...), #words + 1, words) end
  add(ctx.args.dry_run and "--dry-run" or "--resume")
  if ctx.args.tables then add("--tables", ctx.args.tables) end
  if ctx.args.config ~= "./collegedb.lua" then add("--config", ctx.args.config) end
  if ctx.args.json then add "--json" end
  return words
end

return {
  summary = "Take the existing rows of shards over.",
  usage = "integrate [SHARD…] [--tables a,b] [--resume] [--dry-run]",
  group = "Set up",
  examples = {
    { "collegedb integrate", "All rows of all shards are taken over." },
    { "collegedb integrate east --tables customers,orders", "Two tables of one shard." },
    { "collegedb integrate --dry-run", "Only what would be done, and what conflicts." },
    { "collegedb integrate --resume", "Goes on where an integration was interrupted." },
  },
  exits = { [3] = "there are conflicts or other findings" },
  auto_migrate = false,
  resume = arguments_left,
  options = function(parser)
    parser:argument("shards", "The shards; every one, if none is named."):args "*"
    parser:option("--tables", "Only these tables."):argname "a,b"
    parser:flag("--resume", "Go on where it was interrupted; it begins anew where that is not possible.")
    parser:flag("--dry-run", "Only say what would be done.")
  end,
  run = function(ctx)
    local names = #ctx.args.shards > 0 and ctx.args.shards or ctx.db:list_known_shards()
    local reports, status = {}, 0
    for i, name in ipairs(names) do
      ctx.left = table.move(names, i, #names, 1, {})
      local report = integrate(ctx, name)
      reports[i] = report
      if not report.success then status = 3 end
      if not ctx.args.json then print_report(report) end
    end
    if ctx.args.json then ctx.print_json(reports) end
    return status
  end,
}
