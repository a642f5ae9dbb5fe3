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
  for i, conflict in ipairs(report.conflicts) do
    if i > conflicts_shown then
      print(("  … and %d more conflicts"):format(report.conflict_count - conflicts_shown))
      break
    end
    print(("  conflict: %s of %s is on %s and on %s"):format(tostring(conflict.key), conflict.table, conflict.shard,
      conflict.other_shard))
  end
end

return {
  summary = "Take the existing rows of shards over.",
  usage = "integrate [SHARD…] [--tables a,b] [--dry-run]",
  auto_migrate = false,
  options = function(parser)
    parser:argument("shards", "The shards; every one, if none is named."):args "*"
    parser:option("--tables", "Only these tables."):argname "a,b"
    parser:flag("--dry-run", "Only say what would be done.")
  end,
  run = function(ctx)
    local names = #ctx.args.shards > 0 and ctx.args.shards or ctx.db:list_known_shards()
    local reports, status = {}, 0
    for i, name in ipairs(names) do
      local report = ctx.db:integrate(name, {
        tables = split(ctx.args.tables),
        dry_run = ctx.args.dry_run or false,
        on_progress = function(done, total, table) ctx.progress(done, total, name .. " " .. (table or "")) end,
      })
      ctx.progress()
      reports[i] = report
      if not report.success then status = 3 end
      if not ctx.args.json then print_report(report) end
    end
    if ctx.args.json then ctx.print_json(reports) end
    return status
  end,
}
