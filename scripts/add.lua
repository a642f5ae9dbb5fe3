-- collegedb add: adds a shard while programs run.

return {
  summary = "Add a shard, while programs run.",
  usage = "add NAME FILE [--weight W] [--region R]",
  options = function(parser)
    parser:argument("name", "The shard's name.")
    parser:argument("file", "Its SQLite file, which is made.")
    parser:option("--weight", "Its share of the keys, against the other shards' weights (1)."):convert(tonumber)
    parser:option("--region", "Where it is.")
  end,
  run = function(ctx)
    local report = ctx.db:add_shard { name = ctx.args.name, ctx.args.file, weight = ctx.args.weight,
      region = ctx.args.region }
    if ctx.args.json then
      ctx.print_json(report)
    else
      print(("%s is a shard now; programs that are running take it up by themselves"):format(report.shard))
      print "name it in the config too, for those who read that"
      if report.retiring then print "to give it its share of the keys that are there: collegedb rebalance" end
    end
    return 0
  end,
}
