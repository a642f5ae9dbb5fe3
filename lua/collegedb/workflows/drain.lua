--- Empties a shard while programs run, and closes it: it gets no new keys, those it has are moved, and in the end it
-- refuses rows. Otherwise as workflows/rebalance.lua.

local epochs = require "collegedb.epochs"
local growing = require "collegedb.growing"
local rebalance = require "collegedb.workflows.rebalance"
local rebalancing = require "collegedb.rebalancing"

local drain = { name = "drain", api = 1, steps = { "close", "plan", "move", "seal", "retire" },
  plan = rebalance.plan, move = rebalance.move, retire = rebalance.retire }

local ROUNDS <const> = 20 -- while programs go on inserting into groups that are there

--- Takes the shard out of the placement. A dry run only imagines that.
function drain.close(work, ctx)
  local run = rebalancing.inside(ctx)
  local index = run.state.epoch.index_of[work.only]
  if run.opts.dry_run then run.state.epoch = epochs.without(run.state.epoch, index, run.state.shards)
  else growing.close(run.state, index) end
end

--- Closes the shard when nothing is left on it.
function drain.seal(work, ctx)
  local run, round = rebalancing.inside(ctx), 0
  if run.opts.dry_run then return end
  repeat
    round = round + 1
    run.report.sealed = growing.seal(run.state, run.state.epoch.index_of[work.only])
    if run.report.sealed or run.report.failed_count > 0 then return end
    run:plan_anew(work)
    run:move_planned()
  until round == ROUNDS
end

return drain
