--- A key as it is typed on a command line.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local key_argument = {}

--- Adds the argument and its options to a command's parser.
function key_argument.options(parser)
  parser:argument("key", "The key.")
  parser:option("--table", "The table whose key it is, where that is an integer."):argname "T"
  parser:option("--keyspace", "The shard's keyspace that the key is of."):argname "K"
end

--- The key as db:locate and db:reassign_shard take it, and the table's name. Digits alone are the integer key of the
-- only table that has such keys, if there is one.
---@param ctx collegedb.CommandContext
---@return string|integer|userdata key, string? table_name
function key_argument.of(ctx)
  local key, table_name = ctx.args.key, ctx.args.table
  if ctx.args.keyspace then
    if not table_name then ctx.usage_error "--keyspace needs --table" end
    return ctx.db:key(table_name, key, ctx.args.keyspace), nil
  end
  local integer = not table_name and core.decimal(key)
  if not integer then return key, table_name end
  local done, err = pcall(ctx.db.locate, ctx.db, integer)
  if done then return integer, nil end
  if errors.is_error(err) and err.message:find "needs a table" then return key, nil end
  error(err, 0)
end

return key_argument
