-- collegedb validate: what integration would find, without writing anything. Findings are exit status 3; a shard
-- that can not be read at all is a failure like any other, 1.

local core = require "collegedb.core"
local existing = require "collegedb.existing"
local terminal = require "collegedb.terminal"

local plain = terminal.plain
local conflicts_shown <const> = 20

-- What the default rules say of a table, unless the config routes it by another column.
local function look_at(shard, table_name, key_column)
  local found = existing.validate_table_for_sharding(shard, table_name)
  if found.primary_key_column == key_column then return found end
  return existing.validate_table_for_sharding(shard, table_name, key_column)
end

-- The tables of a shard with the keys by which the config routes them.
local function tables_of(db, name)
  local state, shard, list = core.state(db), db:shard(name), {}
  local index = state.by_name[name]
  for _, table_name in ipairs(existing.list_tables(shard)) do
    local found = state:table(table_name)
    if found and found.shards[index] then
      list[#list + 1] = look_at(shard, table_name, found.key_column)
    end
  end
  return list
end

local function validate(db, name, progress)
  local report = db:integrate(name, {
    dry_run = true,
    on_progress = function(done, total, table_name) progress(done, total, name .. " " .. (table_name or "")) end,
  })
  progress()
  local found = {
    shard = name, tables = tables_of(db, name), records = report.total_records, issues = report.issues,
    conflicts = report.conflicts, conflict_count = report.conflict_count,
  }
  local valid = report.success
  for _, each in ipairs(found.tables) do valid = valid and each.is_valid end
  found.is_valid = valid
  return found
end

local function print_found(found)
  local yellow_issue = terminal.paint("issue:", "yellow")
  print(("%s: %d tables with a key, %d records, %d conflicts"):format(found.shard, #found.tables, found.records,
    found.conflict_count))
  for _, each in ipairs(found.tables) do
    local follows = each.follows and (", follows %s"):format(each.follows) or ""
    print(("  %s: key %s%s, %d records"):format(plain(each.table_name), plain(each.primary_key_column), plain(follows),
      each.record_count))
    for _, issue in ipairs(each.issues) do print("    " .. yellow_issue .. " " .. plain(issue)) end
  end
  for _, issue in ipairs(found.issues) do print("  " .. yellow_issue .. " " .. plain(issue)) end
  for i, conflict in ipairs(found.conflicts) do
    if i > conflicts_shown then
      print(("  … and %d more conflicts"):format(found.conflict_count - conflicts_shown))
      break
    end
    print(("  %s %s of %s is on %s and on %s"):format(terminal.paint("conflict:", "red"), plain(conflict.key),
      plain(conflict.table), found.shard, conflict.other_shard))
  end
end

return {
  summary = "Say what integration would find.",
  usage = "validate [SHARD…]",
  group = "Set up",
  examples = {
    { "collegedb validate", "What integration would find on all shards." },
    { "collegedb validate west --json", "The same of one shard, for a program." },
  },
  exits = { [3] = "there are findings" },
  resume = true,
  options = function(parser)
    parser:argument("shards", "The shards; every one, if none is named."):args "*"
  end,
  run = function(ctx)
    local db <close> = existing.open(ctx.config, true)
    local names = #ctx.args.shards > 0 and ctx.args.shards or db:list_known_shards()
    local list, status = {}, 0
    for _, name in ipairs(names) do db:shard(name) end
    for i, name in ipairs(names) do
      list[i] = validate(db, name, ctx.progress)
      if not list[i].is_valid then status = 3 end
      if not ctx.args.json then print_found(list[i]) end
    end
    if ctx.args.json then ctx.print_json(list) end
    return status
  end,
}
