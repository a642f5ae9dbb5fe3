--- Deleting the rows of a committed move at a source whose foreign keys can not be switched off: what they would do, or
-- refuse, to rows that go and to rows that stay.

local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local quote = require "collegedb.quote"

local clearing = {}

--- The parts, parents first; also those of keys ON DELETE RESTRICT, which look at each row that is deleted. Rows are
-- deleted in the reverse order.
---@param parts collegedb.Part[]
---@param list collegedb.Reference[] of lua/collegedb/references.lua
---@return collegedb.Part[]
function clearing.order(parts, list)
  local ordered, seen = {}, {}
  local function put(part)
    if seen[part] then return end
    seen[part] = true
    if part.parent then put(part.parent) end
    for _, each in ipairs(list) do
      if each.child_part == part and each.parent_part and each.on_delete == "RESTRICT" then put(each.parent_part) end
    end
    ordered[#ordered + 1] = part
  end
  for _, part in ipairs(parts) do put(part) end
  return ordered
end

-- Keys by which no order is right, as a table's own rows that refer to one another.
local function circular(job)
  local at, list = {}, {}
  for i, part in ipairs(clearing.order(job.parts, job.references)) do at[part] = i end
  for _, each in ipairs(job.references) do
    local inside = each.child_part and each.parent_part
    if inside and each.on_delete == "RESTRICT" and at[each.child_part] <= at[each.parent_part] then
      list[#list + 1] = each
    end
  end
  return list
end

--- Raises CONSTRAINT when rows of the move could not be deleted afterwards.
---@param job table of workflows/move.lua, whose source holds the keys
function clearing.check(job)
  for _, each in ipairs(circular(job)) do
    local filled = {}
    for i, name in ipairs(each.columns) do filled[i] = quote.name(name) .. " IS NOT NULL" end
    if job.source.inner:first(("SELECT 1 AS yes FROM %s WHERE %s AND %s LIMIT 1"):format(quote.name(each.child),
      group.rows_sql(each.child_part, fence.keys_sql(job.keyspace, "?1")), table.concat(filled, " AND ")),
      { job.number }) then
      errors.raise("CONSTRAINT", { table = each.child, shard = job.source.name }, "the key %s can not go from %s to "
        .. "%s: rows of %s refer to one another ON DELETE RESTRICT, so that they could not be deleted on the former",
        job.keys[1], job.source.name, job.target.name, each.child)
    end
  end
end

return clearing
