--- What is wrong with a set-up though all of its parts answer, as far as that is told quickly: a file under two names,
-- a directory that was there or is another config's, scripts and a strategy that fail.

local allocate = require "collegedb.allocate"
local core = require "collegedb.core"
local look = require "collegedb.look"
local shards = require "collegedb.shards"

local seen_problems = {}

---@class collegedb.SeenProblem
---@field topic "files"|"directory"|"scripts"|"shards"
---@field about string "config", "directory", "scripts", or a shard's name
---@field message string
---@field mend string

-- --- files ----------------------------------------------------------------------------------

local function check_same(add, seen)
  local list = {}
  for i, each in ipairs(seen.shards) do list[i] = each.shard end
  local _, err = look.tried(shards.check_files_differ, seen.config.kv, list)
  if err then add("files", "config", err.message, "give each its own file") end
end

-- --- the directory ----------------------------------------------------------------------------

-- The lock of programs that had it open, or what moves have left in the shards.
local function was_there(seen)
  local kv = seen.config.kv
  if shards.is_file(kv) and core.file_id(kv .. "-users") then return true end
  for _, shard in ipairs(seen.state.shards) do
    if not shard.single and shard.inner:first "SELECT 1 AS yes FROM sqlite_schema WHERE name = '_collegedb_own'" then
      return true
    end
  end
  return false
end

local function check_there(add, seen)
  if not seen.is_new or not was_there(seen) then return end
  add("files", "directory", ("there is no directory at %s any more"):format(tostring(seen.config.kv)), "put it back "
    .. "from a backup; or open the database, which makes one that learns from the shards: docs/backup.md")
end

-- Is it a shard of the config, though it may not be reached?
local function is_named(seen, name)
  for _, each in ipairs(seen.shards) do
    if each.shard.name == name then return true end
  end
  return false
end

seen_problems.is_named = is_named

-- Shards where keys are at home, or were before a placement that came while they were away.
local function check_homes(add, seen)
  local told = {}
  for _, placement in ipairs(seen.state.epoch and seen.state.epoch.placements or {}) do
    for _, node in ipairs(placement.claims and {} or placement.all.nodes) do
      if not is_named(seen, node.name) and not told[node.name] then
        told[node.name] = true
        add("directory", "directory", ("keys are placed on shard %s, which the config does not have"):format(node.name),
          "put the shard back into the config, or name the config's own directory; empty a shard with collegedb drain "
          .. "before you take it out")
      end
    end
  end
end

-- --- scripts -----------------------------------------------------------------------------------

local function mend_of_script(err)
  if err.field and err.code == "CONFIG" then return ("correct %s in the config"):format(err.field) end
  return "correct the script"
end

-- What the strategy in use does with a key: spends no turn, and writes nothing.
local function check_strategy(add, state)
  for _, operation in ipairs { "read", "write" } do
    local strategy = state.strategy[operation]
    local turn = 0
    local _, err = look.tried(allocate.choose, state, { keyspace = "", text = "collegedb doctor" }, function()
      turn = turn + 1
      return turn - 1
    end, operation)
    if err and err.code == "SCRIPT" then
      add("scripts", "scripts", err.message, ("correct strategy %s"):format(strategy.name or "in the config"))
    elseif err and err.code == "FULL" then
      add("shards", "scripts", err.message, "raise max_size, or add a shard: collegedb add")
    end
    if strategy == state.strategy[operation == "read" and "write" or "read"] then return end
  end
end

local function check_scripts(add, seen)
  for _, problem in ipairs(seen.problems) do
    local err = problem.about == "scripts" and problem.error
    if err then add("scripts", "scripts", err.message, mend_of_script(err)) end
  end
  if seen.state.epoch and #seen.state.shards > 0 then check_strategy(add, seen.state) end
end

--- Those of a look.
---@param seen collegedb.Look
---@return collegedb.SeenProblem[]
function seen_problems.read(seen)
  local list = {}
  local function add(topic, about, message, mend)
    list[#list + 1] = { topic = topic, about = about, message = message, mend = mend }
  end
  check_same(add, seen)
  check_there(add, seen)
  check_homes(add, seen)
  check_scripts(add, seen)
  return list
end

return seen_problems
