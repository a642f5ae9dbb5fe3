-- collegedb metrics: the numbers of all running programs, for Prometheus. It looks from outside, as status does.

local config = require "collegedb.config"
local look = require "collegedb.look"
local metrics = require "collegedb.metrics"
local statistics = require "collegedb.statistics"

local function read(settings)
  local names = {}
  for i, shard in ipairs(settings.shards) do names[i] = shard.name end
  return statistics.of_folder(settings.statistics_dir, names)
end

local function text_of(settings)
  local seen = look.open(settings)
  local done, text = pcall(metrics.text, read(settings), seen.state)
  seen:close()
  return done and text or error(text, 0)
end

return {
  summary = "Print counters and latencies of all running programs for Prometheus.",
  usage = "metrics",
  description = "It needs the same statistics_dir in the config of the programs and in this one.",
  group = "Looking after it",
  auto_migrate = false,
  examples = { { "collegedb metrics", "what the programs of the config's statistics_dir did" } },
  run = function(ctx)
    local settings = config.normalize(ctx.config)
    if not settings.statistics_dir then
      ctx.usage_error("the config has no statistics_dir: programs show their numbers in that folder "
        .. "(docs/monitoring.md)")
    end
    if ctx.args.json then ctx.print_json(read(settings)) else io.write(text_of(settings)) end
    return 0
  end,
}
