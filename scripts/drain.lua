-- collegedb drain: empties a shard while programs run, and closes it. What is interrupted goes on when it is run again.

local move_command = require "collegedb.move_command"

return {
  summary = "Empty a shard, and close it.",
  usage = "drain SHARD [--policy NAME] [--rate KEYS] [--dry-run]",
  group = "Growing",
  examples = {
    { "collegedb drain west", "All keys leave west, which takes none any more." },
    { "collegedb drain west --rate 500", "The same, 500 keys a second at most." },
    { "collegedb drain west --dry-run", "Only how many keys would go where." },
  },
  exits = { [3] = "keys are left that could not be moved" },
  resume = true,
  options = function(parser)
    parser:argument("shard", "The shard.")
    move_command.options(parser)
  end,
  run = function(ctx)
    return move_command.run(ctx, function(opts) return ctx.db:drain(ctx.args.shard, opts) end)
  end,
}
