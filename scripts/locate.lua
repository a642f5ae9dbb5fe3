-- collegedb locate: where a key lives, and why.

return {
  summary = "Say on which shard a key lives, and how that is known.",
  usage = "locate KEY [--table T]",
  options = function(parser)
    parser:argument("key", "The key.")
    parser:option("--table", "The table whose key it is, where that is an integer."):argname "T"
  end,
  run = function(ctx)
    local shard, how = ctx.db:locate(ctx.args.key, ctx.args.table)
    if ctx.args.json then
      ctx.print_json { key = ctx.args.key, shard = shard, how = how }
    elseif shard then
      print(shard .. " (" .. tostring(how) .. ")")
    else
      print(("unknown (%s)"):format(tostring(how)))
    end
    return shard and 0 or 1
  end,
}
