-- The workflow integrate with one step more: before a shard counts as integrated, a line about it goes to a log file.
--
--     script_dirs = { "examples/logged" }
--
-- It has a folder of its own, because it is used by every database that has that among its script_dirs.
--
-- `base` is the workflow that came along; its other steps stay as they are.

local base = ...

-- Beside the shard's file.
local function log_path(ctx)
  local file = ctx.shard():first("SELECT file FROM pragma_database_list WHERE name = 'main'").file
  return file:match "^(.*/)" .. "integration.log"
end

return {
  name = "integrate", api = 1,
  steps = { "plan", "take", "log", "finish" },

  log = function(state, ctx)
    local rows = 0
    for i, item in ipairs(state.items) do
      rows = rows + state.counts[i].records
      ctx.progress(i, #state.items, "log " .. item.table)
    end
    -- What is in `state` is kept with the rest, and is there in the steps that follow.
    state.logged = ("%s %s: %d key columns, %d rows"):format(os.date "!%Y-%m-%dT%H:%M:%SZ", ctx.name, #state.items,
      rows)
    local file <close> = assert(io.open(log_path(ctx), "a"))
    file:write(state.logged, "\n")
  end,

  finish = function(state, ctx)
    base.finish(state, ctx)
    state.report.logged = state.logged
  end,
}
