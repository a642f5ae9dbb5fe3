-- collegedb biggest: the tables with the most rows, shard by shard.
--
-- A command of your own is a file like this one, in the folder `commands` of one of the config's script_dirs or of
-- COLLEGEDB_PATH.

local collegedb = require "collegedb"

-- { table, shard, rows } for each table on each shard that has it.
local function count_rows(db, progress)
  local rows, shards = {}, db:list_known_shards()
  for i, shard in ipairs(shards) do
    progress(i - 1, #shards, "shards")
    for _, name in ipairs(collegedb.list_tables(db:shard(shard))) do
      local _, by_shard = db:count(name)
      rows[#rows + 1] = { table = name, shard = shard, rows = by_shard[shard] }
    end
  end
  progress()
  return rows
end

local function more_rows(a, b)
  if a.rows ~= b.rows then return a.rows > b.rows end
  if a.table ~= b.table then return a.table < b.table end
  return a.shard < b.shard
end

return {
  summary = "Show the tables with the most rows, shard by shard.",
  usage = "biggest [--top N]",
  auto_migrate = false, -- to look is not to take over
  options = function(parser)
    parser:option("--top", "How many to show."):argname "N":default "10":convert(math.tointeger)
  end,
  run = function(ctx)
    if ctx.args.top < 1 then ctx.usage_error "--top takes a number of at least 1" end
    local rows = count_rows(ctx.db, ctx.progress)
    table.sort(rows, more_rows)
    ctx.print_table({ table.unpack(rows, 1, math.min(ctx.args.top, #rows)) }, { "table", "shard", "rows" })
    return 0
  end,
}
