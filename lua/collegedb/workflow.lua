--- Workflows: scripts whose steps run one after another over a state of plain data, which the directory keeps in
-- between. docs/scripts.md is for those who write one.

local errors = require "collegedb.errors"
local loader = require "collegedb.loader"

local workflow = {}

local STEP_LIMIT = math.maxinteger -- instructions: how long a step takes depends on the data
local DEEPEST = 50

-- What a step raises to begin anew, or to stop; see workflow.again and workflow.stop.
local AGAIN, STOP = {}, {}

--- In a step: what was decided is void, the first step is next.
function workflow.again() error(AGAIN, 0) end

--- In a step: the user does not want more for now. What was noted stays.
function workflow.stop() error(STOP, 0) end

local function check_script(name, script)
  local function refuse(...) errors.raise("SCRIPT", nil, "workflow %s %s", name, (...):format(select(2, ...))) end
  if type(script.steps) ~= "table" or #script.steps == 0 then refuse "has no array of names in its field steps" end
  local seen = {}
  for i, step in ipairs(script.steps) do
    if type(step) ~= "string" then refuse("names steps[%d] by a %s, not by a string", i, type(step)) end
    if seen[step] then refuse("names the step %s twice", step) end
    if type(script[step]) ~= "function" then refuse("has no function for its step %s", step) end
    seen[step] = true
  end
  return seen
end

-- What a script gives must be a step, and the steps that came along must all be there, in their order.
local function check_given(name, given, base, steps, seen)
  local function refuse(...) errors.raise("SCRIPT", nil, "workflow %s %s", name, (...):format(select(2, ...))) end
  for field, value in pairs(given) do
    if type(value) == "function" and not seen[field] then
      refuse("has a function %s, which is none of its steps (%s)", tostring(field), table.concat(steps, ", "))
    end
  end
  -- What comes later needs what comes before; the end may be left out.
  local place, last = {}, 0
  for i, step in ipairs(base.steps) do place[step] = i end
  for _, step in ipairs(steps) do
    if place[step] and place[step] ~= last + 1 then
      refuse("has the step %s where %s should come first", step, base.steps[last + 1] or "nothing of it")
    end
    last = place[step] or last
  end
end

--- Loads a workflow: the user's script over the one that came along, or that alone.
---@param config table
---@param name string
---@return table script name, steps, and a function for each; and own, whether any of it is the user's
function workflow.load(config, name)
  local base = require("collegedb.workflows." .. name)
  local given = loader.load(config, "workflows", name)
  if given == base then return base, false end
  local script = { name = name }
  for field, value in pairs(base) do script[field] = value end
  for field, value in pairs(given) do script[field] = value end
  check_given(name, given, base, script.steps, check_script(name, script))
  return script, true
end

-- What of a state is not plain, as "state.x is a function", or nil.
local function find_odd(value, where, depth)
  local kind = math.type(value) or type(value)
  if kind == "float" and (value ~= value or value == math.huge or value == -math.huge) then
    return where .. " is no finite number"
  end
  if kind == "integer" or kind == "float" or kind == "string" or kind == "boolean" then return nil end
  if kind ~= "table" then return ("%s is a %s"):format(where, kind) end
  if getmetatable(value) ~= nil then return where .. " has a metatable" end
  if depth == DEEPEST then return where .. " is nested too deep" end
  local count = #value
  for key, inner in pairs(value) do
    local name = where .. (type(key) == "string" and "." .. key or ("[%s]"):format(tostring(key)))
    local fits = type(key) == "string"
    if count > 0 then fits = math.type(key) == "integer" and key >= 1 and key <= count end
    if not fits then
      return ("%s is under a key that does not fit: a table is an array from 1 on, or has strings as keys"):format(name)
    end
    local odd = find_odd(inner, name, depth + 1)
    if odd then return odd end
  end
end

local function check_plain(name, step, state)
  if type(state) ~= "table" then
    errors.raise("SCRIPT", nil, "workflow %s: its state is a %s after the step %s, not a table", name, type(state),
      step)
  end
  local odd = find_odd(state, "state", 0)
  if not odd then return end
  errors.raise("SCRIPT", nil, "workflow %s: after the step %s %s; a state is strings, finite numbers, booleans, and "
    .. "arrays and maps of these", name, step, odd)
end

local function run_step(script, own, step, state, ctx)
  local what = ("workflow %s, step %s,"):format(script.name, step)
  local f = script[step]
  local done, err
  if own and f ~= require("collegedb.workflows." .. script.name)[step] then
    done, err = pcall(loader.call, what, STEP_LIMIT, f, state, ctx)
    local cause = not done and errors.is_error(err, "SCRIPT") and err.cause
    if cause == AGAIN or cause == STOP then err = cause end
  else
    done, err = pcall(f, state, ctx)
  end
  if done then return "done" end
  if err == AGAIN then return "again" end
  if err == STOP then return "stop" end
  error(err, 0)
end

local function position_of(script, step)
  for i, name in ipairs(script.steps) do
    if name == step then return i end
  end
end

-- Where to begin: where the journal says, if that is of the same plan, else at the first step. Of that nothing needs to
-- be noted before it is done.
local function enter(script, job, run)
  local noted = job and run.resume and job:read()
  local at = noted and noted.signature == run.signature() and position_of(script, noted.step)
  if at then return noted.state, at end
  if job then job.id = nil end
  return run.fresh(), 1
end

local function note(job, run, step, state)
  if job.id then job:note(step, state) else job:begin(run.signature(), step, state) end
end

--- Runs a workflow to its end, or until it is stopped.
---@param script table
---@param own boolean some of it is a user's
---@param ctx table what its steps get
---@param job table|nil of lua/collegedb/journal.lua; nil: nothing is noted
---@param run { resume: boolean, signature: fun(): string, fresh: fun(): table }
---@return table state, boolean finished
function workflow.run(script, own, ctx, job, run)
  local state, at = enter(script, job, run)
  while script.steps[at] do
    local step = script.steps[at]
    local how = run_step(script, own, step, state, ctx)
    if how == "stop" then return state, false end
    if how == "again" then
      run.resume = false
      state, at = enter(script, job, run)
    else
      check_plain(script.name, step, state)
      at = at + 1
      if job and script.steps[at] then note(job, run, script.steps[at], state) end
    end
  end
  if job and job.id then job:forget() end
  return state, true
end

return workflow
