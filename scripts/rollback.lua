-- collegedb rollback: takes the integration of shards back. Entries go; the rows stay where they are, and are found
-- by probing.

local core = require "collegedb.core"

-- What db:rollback would remove.
local function preview(db, name)
  local state = core.state(db)
  local id = state.shards[state.by_name[name]].id
  return { success = true, shard_name = name, entries_removed = state.directory:count_found(id), dry_run = true }
end

return {
  summary = "Take the integration of shards back; their rows stay.",
  usage = "rollback SHARD… [--dry-run]",
  group = "Set up",
  examples = {
    { "collegedb rollback east", "The entries of one shard's rows go; its rows stay." },
    { "collegedb rollback east west --dry-run", "Only how many entries would go." },
  },
  resume = true,
  auto_migrate = false,
  options = function(parser)
    parser:argument("shards", "The shards."):args "+"
    parser:flag("--dry-run", "Only say what would be done.")
  end,
  run = function(ctx)
    local reports = {}
    for _, name in ipairs(ctx.args.shards) do ctx.db:shard(name) end
    for i, name in ipairs(ctx.args.shards) do
      reports[i] = ctx.args.dry_run and preview(ctx.db, name) or ctx.db:rollback(name)
      if not ctx.args.json then
        print(("%s: %d entries %s"):format(name, reports[i].entries_removed,
          ctx.args.dry_run and "would be removed" or "removed"))
      end
    end
    if ctx.args.json then ctx.print_json(reports) end
    return 0
  end,
}
