-- collegedb metrics: the numbers of all running programs, for Prometheus.

return {
  summary = "Print counters and latencies of all running programs for Prometheus.",
  usage = "metrics",
  description = "It needs the same statistics_dir in the config of the programs and in this one.",
  group = "Looking after it",
  auto_migrate = false,
  examples = { { "collegedb metrics", "what the programs of the config's statistics_dir did" } },
  run = function(ctx)
    local statistics = require "collegedb.statistics"
    if not ctx.config.statistics_dir then
      ctx.usage_error("the config has no statistics_dir: programs show their numbers in that folder "
        .. "(docs/monitoring.md)")
    end
    statistics.only_look(ctx.db)
    local all = { all = true }
    if ctx.args.json then ctx.print_json(ctx.db:statistics(all)) else io.write(ctx.db:metrics(all)) end
    return 0
  end,
}
