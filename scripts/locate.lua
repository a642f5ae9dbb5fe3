-- collegedb locate: where a key lives, and why.

local core = require "collegedb.core"
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

-- Digits alone are the integer key of the only table that has such keys, if there is one.
local function locate(db, key, table_name)
  local integer = type(key) == "string" and not table_name and core.decimal(key)
  if not integer then return db:locate(key, table_name) end
  local done, shard, how = pcall(db.locate, db, integer)
  if done then return shard, how end
  if shard.message:find "needs a table" then return db:locate(key) end
  error(shard, 0)
end

return {
  summary = "Say on which shard a key lives, and how that is known.",
  usage = "locate KEY [--table T [--keyspace K]]",
  group = "Keys and rows",
  examples = {
    { "collegedb locate ada@example.com", "The shard of a key." },
    { "collegedb locate 17 --table orders", "The shard of an integer key, of this table." },
  },
  exits = { [1] = "failed, or no shard has the key" },
  auto_migrate = false,
  options = function(parser)
    parser:argument("key", "The key.")
    parser:option("--table", "The table whose key it is, where that is an integer."):argname "T"
    parser:option("--keyspace", "The shard's keyspace that the key is of."):argname "K"
  end,
  run = function(ctx)
    local key, table_name = ctx.args.key, ctx.args.table
    if ctx.args.keyspace then
      if not table_name then ctx.usage_error "--keyspace needs --table" end
      key, table_name = ctx.db:key(table_name, key, ctx.args.keyspace), nil
    end
    local shard, how = locate(ctx.db, key, table_name)
    if ctx.args.json then
      ctx.print_json { key = ctx.args.key, shard = shard, how = how }
    else
      local where = terminal.paint(shard or "unknown", shard and "bold" or "yellow")
      print(("%s (%s)"):format(where, reasons[how] or tostring(how)))
    end
    return shard and 0 or 1
  end,
}
