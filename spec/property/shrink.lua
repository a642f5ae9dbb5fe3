-- The shortest list of operations that still fails: parts are left out, halves first, then single ones; then values
-- are made plainer.

local wire = require "spec.property.wire"

local shrink = {}

local function without(list, from, to)
  local out = table.move(list, 1, from - 1, 1, {})
  return table.move(list, to + 1, #list, from, out)
end

-- Leaves out as many as it can.
local function shorter(list, fails)
  local size = #list // 2
  while size >= 1 do
    local at, smaller = 1, false
    while at <= #list do
      local candidate = without(list, at, math.min(at + size - 1, #list))
      if fails(candidate) then list, smaller = candidate, true else at = at + size end
    end
    if size > 1 then size = size // 2 elseif not smaller then break end
  end
  return list
end

-- Each a plainer operation, or nothing if it is as plain.
local plainer = {
  function(op) if op.fault then op.fault = nil return true end end,
  function(op) if op.p and op.p > 1 then op.p = 1 return true end end,
  function(op) if op.how and op.how ~= "run" then op.how = "run" return true end end,
  function(op) if op.by and op.by.as then op.by.as = nil return true end end,
  function(op) if op.inner then op.inner = nil return true end end,
  function(op) if op.st and op.st.v and op.st.v ~= 1 then op.st.v = 1 return true end end,
  function(op) if op.st and op.st.ret then op.st.ret = nil return true end end,
}

-- With fewer statements, for those that have several.
local function fewer_statements(op, fails_with)
  for i = #(op.sts or {}), 1, -1 do
    local copy = wire.copy(op)
    table.remove(copy.sts, i)
    if #copy.sts > 0 and fails_with(copy) then op = copy end
  end
  return op
end

local function simpler(list, fails)
  for i = 1, #list do
    local function fails_with(op)
      local candidate = table.move(list, 1, #list, 1, {})
      candidate[i] = op
      return fails(candidate) and candidate
    end
    for _, change in ipairs(plainer) do
      local copy = wire.copy(list[i])
      list = change(copy) and fails_with(copy) or list
    end
    list = table.move(list, 1, #list, 1, {})
    list[i] = fewer_statements(list[i], fails_with)
  end
  return list
end

-- Settings that are as by default.
local PLAIN <const> = { processes = 1, directory = "sparse", ttl = 30, cache = 1000, consistency = "cached",
  kv = "file", strategy = "hash", nocase = false, enforced = false, check_keys = false, weights = {}, regions = {} }

local function simpler_setup(case, run)
  for name, value in pairs(PLAIN) do
    local candidate = { setup = wire.copy(case.setup), ops = case.ops, seed = case.seed }
    candidate.setup[name] = value
    local least = 1
    for _, op in ipairs(case.ops) do least = math.max(least, op.p or 1) end
    if name == "processes" then candidate.setup.processes = least end
    if not wire.equal(candidate.setup, case.setup) and run(candidate) then case = candidate end
  end
  return case
end

---@param case table as of generate.lua, which fails
---@param run fun(case): string? the failure
---@return table case, integer runs
function shrink.case(case, run)
  local runs = 0
  local function counted(candidate)
    runs = runs + 1
    return run(candidate)
  end
  local function fails(ops) return counted { seed = case.seed, setup = case.setup, ops = ops } end
  local ops = shorter(case.ops, fails)
  ops = shorter(simpler(ops, fails), fails)
  return simpler_setup({ seed = case.seed, setup = case.setup, ops = ops }, counted), runs
end

return shrink
