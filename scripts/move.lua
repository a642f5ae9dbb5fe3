-- collegedb move: takes all rows of a key's group to another shard, while other programs run.

local key_argument = require "collegedb.key_argument"
local reassign = require "collegedb.reassign"
local terminal = require "collegedb.terminal"

local function sentence(key, report)
  if not report.moved then return ("%s is on %s already"):format(key, report.to) end
  return ("%s: %d rows %s from %s to %s"):format(key, report.rows, report.dry_run and "would be moved" or "moved",
    report.from, report.to)
end

return {
  summary = "Move a key, with all rows of its group, to another shard.",
  usage = "move KEY SHARD [--table T [--keyspace K]] [--dry-run]",
  group = "Keys and rows",
  examples = {
    { "collegedb move ada@example.com west", "The customer goes to west, and every row of its group." },
    { "collegedb move 17 west --table orders --dry-run", "Only what would go there with order 17." },
  },
  resume = true,
  auto_migrate = false,
  options = function(parser)
    key_argument.options(parser)
    parser:argument("shard", "The shard that it is to go to.")
    parser:flag("--dry-run", "Only say what would be moved.")
  end,
  run = function(ctx)
    ctx.db:shard(ctx.args.shard)
    local key, table_name = key_argument.of(ctx)
    local act = ctx.args.dry_run and reassign.preview or reassign.run
    local report = act(ctx.db, key, ctx.args.shard, table_name)
    report.key = ctx.args.key
    if ctx.args.json then ctx.print_json(report) else print(sentence(terminal.plain(ctx.args.key), report)) end
    return 0
  end,
}
