--- Counting keys and rows in the shards.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local inspect = require "collegedb.inspect"
local quote = require "collegedb.quote"

local stats = {}

local TERMS <const> = 5 -- of a compound SELECT: D1 takes no more

-- SQL of the distinct keys of some SELECTs of `k`.
local function union(selects)
  if #selects == 1 then return (selects[1]:gsub("^SELECT ", "SELECT DISTINCT ")) end
  while #selects > TERMS do
    local fewer = {}
    for i = 1, #selects, TERMS do
      fewer[#fewer + 1] = ("SELECT k FROM (%s)"):format(table.concat(selects, " UNION ", i,
        math.min(i + TERMS - 1, #selects)))
    end
    selects = fewer
  end
  return table.concat(selects, " UNION ")
end

--- What counts the keys that live in a shard: rows of each table with keys of its own, and distinct keys over all
-- tables that share the global keyspace. What follows another table has its keys.
---@return string[] # statements; each gives a part of the count as `n`
function stats.key_queries(state, index)
  local list, global = {}, {}
  for _, each in pairs(state.catalog.tables) do
    if each.shards[index] and not each.group then
      local table_name, column = quote.name(each.name), quote.name(each.key_column)
      if each.keyspace ~= "" then
        local what = (each.unique and "" or "DISTINCT ") .. column
        list[#list + 1] = ("SELECT count(%s) AS n FROM %s"):format(what, table_name)
      else
        local key = each.kind == "integer" and ("CAST(%s AS TEXT)"):format(column) or column
        global[#global + 1] = ("SELECT %s AS k FROM %s WHERE %s IS NOT NULL"):format(key, table_name, column)
      end
    end
  end
  if #global > 0 then
    table.sort(global)
    list[#list + 1] = ("SELECT count(*) AS n FROM (%s)"):format(union(global))
  end
  return list
end

--- Keys that live in a shard.
---@param shard userdata what to read it through: the handle, or for our own use the inner one
---@return integer
function stats.keys(state, index, shard)
  local total = 0
  for _, sql in ipairs(stats.key_queries(state, index)) do total = total + shard:first(sql).n end
  return total
end

-- The first row of each call, or false; shards that are far away are asked at once.
local function answers_of(calls)
  local rows, failed = core.together(calls, "first")
  for i = 1, #calls do
    if failed[i] then error(failed[i], 0) end
  end
  return rows
end

--- Rows of a table on every shard that has it.
---@return integer total, table<string, integer> by shard
function stats.count(state, name)
  if type(name) ~= "string" or name == "" then
    errors.raise("USAGE", nil, "count takes a table's name, not %s", name == "" and "''" or tostring(name))
  end
  local total, by_shard, known, calls, asked = 0, {}, false, {}, {}
  for i, shard in ipairs(state.shards) do calls[i] = { shard.handle, inspect.FIND, { name } } end
  for i, row in ipairs(answers_of(calls)) do
    by_shard[state.shards[i].name] = 0
    if row then asked[#asked + 1] = i end
  end
  calls = {}
  for n, i in ipairs(asked) do
    calls[n] = { state.shards[i].handle, ("SELECT count(*) AS n FROM %s"):format(quote.name(name)) }
  end
  for n, row in ipairs(answers_of(calls)) do
    by_shard[state.shards[asked[n]].name], total, known = row.n, total + row.n, true
  end
  if not known then errors.raise("TABLE_NOT_FOUND", { table = name }, "no shard has a table %s", name) end
  return total, by_shard
end

--- { { binding, count, size, last_updated }, … } in config order; size in bytes, last_updated in ms.
function stats.shards(state)
  local list = {}
  for index, shard in ipairs(state.shards) do
    list[index] = {
      binding = shard.name, count = stats.keys(state, index, shard.handle), size = shard.handle:size(),
      last_updated = os.time() * 1000, integrated = state.epoch.integrated[index],
      conflicts = state.epoch.conflicts[index],
    }
  end
  return list
end

--- Has the shard no row of a user's?
function stats.is_empty(shard)
  for _, each in ipairs(inspect.list(shard)) do
    if each.kind == "table" and shard:first(("SELECT 1 AS yes FROM %s LIMIT 1"):format(quote.name(each.name))) then
      return false
    end
  end
  return true
end

return stats
