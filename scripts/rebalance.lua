-- collegedb rebalance: moves keys to their homes, or to where a policy wants them. What is interrupted goes on when it
-- is run again.

local move_command = require "collegedb.move_command"

return {
  summary = "Move keys to their homes, or to where a policy wants them.",
  usage = "rebalance [--policy NAME] [--rate KEYS] [--dry-run]",
  options = move_command.options,
  run = function(ctx)
    return move_command.run(ctx, move_command.line(ctx, { "rebalance" }), function(opts)
      return ctx.db:rebalance(opts)
    end)
  end,
}
