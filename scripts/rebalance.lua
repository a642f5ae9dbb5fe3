-- collegedb rebalance: moves keys to their homes, or to where a policy wants them. What is interrupted goes on when it
-- is run again.

local move_command = require "collegedb.move_command"

return {
  summary = "Move keys to their homes, or to where a policy wants them.",
  usage = "rebalance [--policy NAME] [--rate KEYS] [--dry-run]",
  group = "Growing",
  examples = {
    { "collegedb rebalance", "Every key goes to its home." },
    { "collegedb rebalance --policy even --rate 500", "As many keys on each shard, 500 keys a second at most." },
    { "collegedb rebalance --dry-run", "Only how many keys would go from where to where." },
  },
  exits = { [3] = "keys are left that could not be moved" },
  resume = true,
  options = move_command.options,
  run = function(ctx)
    return move_command.run(ctx, function(opts) return ctx.db:rebalance(opts) end)
  end,
}
