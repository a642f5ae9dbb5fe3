-- collegedb integrate: takes the existing rows of shards over, and lists what conflicts. Conflicts and other
-- findings are exit status 3; what stops the work is a failure like any other, 1.

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
  for _, issue in ipairs(report.issues) do print("  issue: " .. tostring(issue)) end
  for _, note in ipairs(report.notes) do print("  note: " .. note) end
  for i, conflict in ipairs(report.conflicts) do
    if i > conflicts_shown then
      print(("  … and %d more conflicts"):format(report.conflict_count - conflicts_shown))
      break
    end
    print(("  conflict: %s of %s is on %s and on %s%s"):format(tostring(conflict.key), conflict.table, conflict.shard,
      conflict.other_shard, conflict.resolved and ", which stands" or ""))
  end
end

local function show_progress(ctx, name)
  return function(done, total, label, info)
    local pace = info.remaining and (" (%.0f keys/s, %.0f s left)"):format(info.rate, info.remaining) or ""
    ctx.progress(done, total, ("%s %s%s"):format(name, label or "", pace))
  end
end

-- The report; nil when it was interrupted.
local function integrate(ctx, name)
  local done, report = pcall(ctx.db.integrate, ctx.db, name, {
    tables = split(ctx.args.tables), dry_run = ctx.args.dry_run or false, resume = ctx.args.resume or false,
    on_progress = show_progress(ctx, name),
  })
  ctx.progress()
  if done then return report end
  if type(report) == "string" and report:find "interrupted!$" then return nil end
  error(report, 0)
end

-- A word of a command line, for a shell.
local function word(text)
  if text:find "^[%w_./,@%%+=:-]+$" then return text end
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

-- What to type to go on, with this shard and those that were to come. Of a dry run nothing is noted.
local function tell_how_to_resume(ctx, names, i)
  local words = { "collegedb integrate" }
  for k = i, #names do words[#words + 1] = word(names[k]) end
  words[#words + 1] = ctx.args.dry_run and "--dry-run" or "--resume"
  if ctx.args.tables then words[#words + 1] = "--tables " .. word(ctx.args.tables) end
  if ctx.args.config ~= "./collegedb.lua" then words[#words + 1] = "--config " .. word(ctx.args.config) end
  if ctx.args.json then words[#words + 1] = "--json" end
  io.stderr:write("interrupted; to go on: ", table.concat(words, " "), "\n")
end

return {
  summary = "Take the existing rows of shards over.",
  usage = "integrate [SHARD…] [--tables a,b] [--resume] [--dry-run]",
  auto_migrate = false,
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
      local report = integrate(ctx, name)
      if not report then
        tell_how_to_resume(ctx, names, i)
        return 130
      end
      reports[i] = report
      if not report.success then status = 3 end
      if not ctx.args.json then print_report(report) end
    end
    if ctx.args.json then ctx.print_json(reports) end
    return status
  end,
}
