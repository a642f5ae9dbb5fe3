-- collegedb status: the shards, and how the keys are spread over them.

local bar_width <const> = 20

local function bar(share)
  local full = math.floor(share * bar_width + 0.5)
  return ("#"):rep(full) .. ("."):rep(bar_width - full)
end

local function conflict_note(count)
  return count and count > 0 and (", %d conflicts"):format(count) or ""
end

return {
  summary = "Show the shards, their keys and sizes, and the balance.",
  usage = "status",
  auto_migrate = false,
  run = function(ctx)
    local stats = ctx.db:get_shard_stats()
    if ctx.args.json then
      ctx.print_json(stats)
      return 0
    end
    local total = 0
    for _, shard in ipairs(stats) do total = total + shard.count end
    local rows = {}
    for i, shard in ipairs(stats) do
      local share = total > 0 and shard.count / total or 0
      rows[i] = {
        shard = shard.binding,
        keys = shard.count,
        bytes = shard.size,
        integrated = (shard.integrated and "yes" or "no") .. conflict_note(shard.conflicts),
        share = ("%5.1f %%  %s"):format(share * 100, bar(share)),
      }
    end
    ctx.print_table(rows, { "shard", "keys", "bytes", "integrated", "share" })
    return 0
  end,
}
