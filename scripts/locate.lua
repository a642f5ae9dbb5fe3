-- collegedb locate: where a key lives, and why.

local key_argument = require "collegedb.key_argument"
local terminal = require "collegedb.terminal"

-- What db:locate answers, in words.
local reasons = {
  home = "its home: the strategy places it there",
  directory = "the directory has an entry for it",
  found = "its rows were found there",
  claimed = "it was given that place",
  ["old home"] = "an earlier placement had it there, and its rows are still to be moved: collegedb rebalance",
  moved = "it was moved there",
  unknown = "no shard has it, and it has no place yet",
}

return {
  summary = "Say on which shard a key lives, and how that is known.",
  usage = "locate KEY [--table T [--keyspace K]]",
  group = "Keys and rows",
  examples = {
    { "collegedb locate ada@example.com", "The shard of a key." },
    { "collegedb locate 17 --table orders", "The shard of an integer key, of this table." },
  },
  exits = { [1] = "failed, or the key has no place yet" },
  auto_migrate = false,
  options = function(parser)
    key_argument.options(parser)
  end,
  run = function(ctx)
    local shard, how = ctx.db:locate(key_argument.of(ctx))
    if ctx.args.json then
      ctx.print_json { key = ctx.args.key, shard = shard, how = how }
    else
      local where = terminal.paint(shard or "unknown", shard and "bold" or "yellow")
      print(("%s (%s)"):format(where, reasons[how] or tostring(how)))
    end
    return shard and 0 or 1
  end,
}
