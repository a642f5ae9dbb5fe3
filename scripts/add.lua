-- collegedb add: adds a shard while programs run.

local core = require "collegedb.core"
local growing = require "collegedb.growing"

return {
  summary = "Add a shard, while programs run.",
  usage = "add NAME FILE [--weight W] [--region R] [--dry-run]",
  group = "Growing",
  examples = {
    { "collegedb add north north.db", "A third shard, which gets new keys from now on." },
    { "collegedb add north north.db --weight 2 --region weur", "One with twice the share." },
    { "collegedb add north north.db --dry-run", "Only whether it could be added." },
  },
  resume = true,
  options = function(parser)
    parser:argument("name", "The shard's name.")
    parser:argument("file", "Its SQLite file, which is made.")
    parser:option("--weight", "Its share of the keys, against the others' weights (1)."):argname "W":convert(tonumber)
    parser:option("--region", "Where it is."):argname "R"
    parser:flag("--dry-run", "Only say whether it could be added.")
  end,
  run = function(ctx)
    local shard = { name = ctx.args.name, ctx.args.file, weight = ctx.args.weight, region = ctx.args.region }
    local report = ctx.args.dry_run and growing.preview(core.state(ctx.db), shard) or ctx.db:add_shard(shard)
    if ctx.args.json then
      ctx.print_json(report)
    elseif ctx.args.dry_run then
      print(("%s would be a shard, in %s"):format(report.shard, ctx.args.file))
    else
      print(("%s is a shard now; programs that are running take it up by themselves"):format(report.shard))
      print "name it in the config too, for those who read that"
      if report.retiring then print "to give it its share of the keys that are there: collegedb rebalance" end
    end
    return 0
  end,
}
