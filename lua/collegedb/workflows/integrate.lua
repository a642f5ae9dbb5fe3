--- The workflow `integrate`: an existing database is taken over. Its keys become entries of the directory, its
-- rows stay where they are. Reads and digests in C (src/directory/takeover.c).
--
--   plan     which key columns, in `state.items`
--   take     their keys, page by page; what was read of each is in `state.counts`
--   finish   the shard counts as integrated, and `state.report` says what was found

local errors = require "collegedb.errors"
local integration = require "collegedb.integration"
local patience = require "collegedb.patience"
local workflow = require "collegedb.workflow"

local integrate = { name = "integrate", api = 1, steps = { "plan", "take", "finish" } }

local PATIENCE = 60 -- seconds in which others may change the epoch under each page

--- Chooses what is read, and counts the rows if anybody wants to know how far it is.
---@param state table gets `items`: { { table, column, rows? }, … }
---@param ctx table
function integrate.plan(state, ctx)
  local run = integration.inside(ctx)
  state.items, state.counts = {}, {}
  for i, found in ipairs(run.columns) do
    state.items[i] = { table = found.name, column = found.key_column,
      rows = run.opts.on_progress and integration.count_rows(run.shard, found) or nil }
  end
  state.was_integrated = run.instance.epoch.integrated[run.index] or false
end

local function take_column(state, run, i, waiting)
  local takeover = integration.takeover(run, i)
  repeat
    local done, more, stalled, idle = pcall(takeover.step, takeover)
    if not done then
      if errors.is_error(more, "MOVED") then workflow.again() end
      error(more, 0)
    end
    state.counts[i] = takeover:counts()
    integration.judge(run, i, takeover)
    if not idle then integration.tell(state, run, i) end
    if not stalled then
      waiting:progress()
    elseif not waiting:wait() then
      errors.raise("BUSY", { shard = run.shard.name }, "the shards change faster than %s can be integrated",
        run.shard.name)
    end
  until not more
end

--- Takes the keys over, in batches; after each it tells how far it is, and may be stopped.
---@param state table gets `counts`: { records, created, at_home, known, conflicts, unusable } for each item
---@param ctx table
function integrate.take(state, ctx)
  local run, waiting = integration.inside(ctx), patience.new(PATIENCE)
  for i in ipairs(state.items) do take_column(state, run, i, waiting) end
end

--- Marks the shard as integrated, if all of its tables were read, and writes the report.
---@param state table gets `report`
---@param ctx table
function integrate.finish(state, ctx)
  local run = integration.inside(ctx)
  integration.judge_rest(run)
  local report = integration.report(state, run)
  local marks = run.complete and not run.opts.dry_run
  if marks and not integration.mark(run, report.unresolved) then workflow.again() end
  state.report = report
end

return integrate
