--- Moves keys to where a policy wants them, while programs run. At the end the placements before the newest are
-- dropped, if no key and no program needs them any more.
--
-- What its steps have in hand is in lua/collegedb/rebalancing.lua; the state between them is
-- { only: integer?, planned: integer, moved: integer }: the shard that it is about, groups.

local growing = require "collegedb.growing"
local home = require "collegedb.policies.home"
local rebalancing = require "collegedb.rebalancing"

local rebalance = { name = "rebalance", api = 1, steps = { "plan", "move", "retire" } }

local ROUNDS <const> = 5 -- while programs go on inserting by an old placement

--- Asks the policy about every key.
function rebalance.plan(work, ctx)
  local run = rebalancing.inside(ctx)
  run:plan_anew(work)
  work.planned = run.plan.total
end

--- Moves what was planned. After an interruption the plan is made anew: it is about what is left.
function rebalance.move(work, ctx)
  local run = rebalancing.inside(ctx)
  if run.opts.dry_run then return end
  repeat
    if not run.plan then run:plan_anew(work) end
  until run:move_planned()
  work.moved = run.report.moved
end

--- Drops old placements, after what came by them since is moved too.
function rebalance.retire(_, ctx)
  local run = rebalancing.inside(ctx)
  local report, round = run.report, 0
  if run.opts.dry_run then return end
  repeat
    if report.failed_count > 0 then return end
    local retired, why = growing.retire(run.state, function()
      run:plan_anew({}, home)
      local left = run.plan.total
      return run:move_planned() and left == 0
    end)
    report.retired, report.waiting, round = retired, why == "programs", round + 1
  until why ~= "keys" or round == ROUNDS
end

return rebalance
