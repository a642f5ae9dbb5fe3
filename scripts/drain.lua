-- collegedb drain: empties a shard while programs run, and closes it. What is interrupted goes on when it is run again.

local move_command = require "collegedb.move_command"

return {
  summary = "Empty a shard, and close it.",
  usage = "drain SHARD [--policy NAME] [--rate KEYS] [--dry-run]",
  options = function(parser)
    parser:argument("shard", "The shard.")
    move_command.options(parser)
  end,
  run = function(ctx)
    return move_command.run(ctx, move_command.line(ctx, { "drain", ctx.args.shard }), function(opts)
      return ctx.db:drain(ctx.args.shard, opts)
    end)
  end,
}
