--- Foreign keys between rows of groups that move and rows that stay: after the move they point from one shard to
-- another. Those that SQLite enforces forbid the move, the others are counted in its report.

local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"
local quote = require "collegedb.quote"

local references = {}

---@class collegedb.Reference a foreign key of a shard, one end of which is a table of the groups
---@field child string
---@field parent string
---@field columns string[]
---@field parent_columns string[]
---@field child_part collegedb.Part?
---@field parent_part collegedb.Part?
---@field on_delete string
---@field inside boolean? both ends move together: only what enforces it must know
---@field has_parent boolean the parent's table is there

-- By this key the part's rows are of a group: both ends move together.
local function is_of_group(part, key)
  return part and part.parent and #key.columns == 1 and quote.fold(key.columns[1]) == quote.fold(part.column)
    and quote.fold(key.parent) == quote.fold(part.parent.name)
end

--- The foreign keys of a shard that a move of these parts could make point elsewhere.
---@param parts collegedb.Part[]
---@return collegedb.Reference[]
function references.of(shard, parts)
  local by_name, list = {}, {}
  for _, part in ipairs(parts) do by_name[quote.fold(part.name)] = part end
  local infos = inspect.tables(shard.inner, shard.name)
  for _, info in ipairs(infos) do
    for _, key in ipairs(info.foreign_keys) do
      local child, parent = by_name[quote.fold(info.name)], by_name[quote.fold(key.parent)]
      local whole = #key.parent_columns == #key.columns
      if (child or parent) and whole then
        list[#list + 1] = { child = info.name, parent = key.parent, columns = key.columns, child_part = child,
          parent_columns = key.parent_columns, parent_part = parent, has_parent = infos[key.parent] ~= nil,
          on_delete = key.on_delete, inside = is_of_group(child, key) or nil }
      end
    end
  end
  return list
end

local function names(list, alias)
  local out = {}
  for i, name in ipairs(list) do out[i] = alias .. "." .. quote.name(name) end
  return out
end

-- SQL of how many rows stay and refer to rows that go; nil where none can.
local function coming_in(each, keys)
  if not each.parent_part or each.inside then return nil end
  local sql = ("SELECT count(*) AS n FROM %s AS t WHERE (%s) IN (SELECT %s FROM %s AS p WHERE %s)"):format(
    quote.name(each.child), table.concat(names(each.columns, "t"), ", "),
    table.concat(names(each.parent_columns, "p"), ", "), quote.name(each.parent),
    group.rows_sql(each.parent_part, keys))
  if not each.child_part then return sql end
  return ("%s AND (%s) IS NOT TRUE"):format(sql, group.rows_sql(each.child_part, keys))
end

-- Rows of the groups whose parents are not on this shard.
local function going_out(each, keys)
  if not each.child_part or each.inside then return nil end
  local filled, equal, own = {}, {}, names(each.columns, "t")
  for i, name in ipairs(names(each.parent_columns, "q")) do
    filled[i], equal[i] = own[i] .. " IS NOT NULL", name .. " = " .. own[i]
  end
  local sql = ("SELECT count(*) AS n FROM %s AS t WHERE %s AND %s"):format(quote.name(each.child),
    group.rows_sql(each.child_part, keys), table.concat(filled, " AND "))
  if not each.has_parent then return sql end
  return ("%s AND NOT EXISTS (SELECT 1 FROM %s AS q WHERE %s)"):format(sql, quote.name(each.parent),
    table.concat(equal, " AND "))
end

--- Conditions, as SQL, that are true when rows that stay refer to some of the move ?1.
---@param list collegedb.Reference[]
---@return string[]
function references.holding(list, keyspace)
  local conditions, keys = {}, fence.keys_sql(keyspace, "?1")
  for _, each in ipairs(list) do
    local sql = coming_in(each, keys)
    if sql then conditions[#conditions + 1] = ("(%s) > 0"):format(sql) end
  end
  return conditions
end

local function count(reader, list, which, job)
  local keys, counts = fence.keys_sql(job.keyspace, "?1"), {}
  for i, each in ipairs(list) do
    local sql = which(each, keys)
    counts[i] = sql and reader:first(sql, { job.number }).n or 0
  end
  return counts
end

-- One is not missed at the target that was missing at the source already.
local function count_out(job, reader)
  local there = count(reader, job.target_references, going_out, job)
  local any = false
  for _, n in ipairs(there) do any = any or n > 0 end
  local before = any and count(job.source.inner, job.references, going_out, job) or {}
  local by_name = {}
  local function id(each) return table.concat({ each.child, each.parent, table.unpack(each.columns) }, "\0"):lower() end
  for i, each in ipairs(job.references) do by_name[id(each)] = before[i] end
  for i, each in ipairs(job.target_references) do there[i] = math.max(0, there[i] - (by_name[id(each)] or 0)) end
  return there
end

local function add(list, references_of, counts)
  for i, each in ipairs(references_of) do
    if counts[i] > 0 then
      list[#list + 1] = { table = each.child, columns = each.columns, parent = each.parent, rows = counts[i] }
    end
  end
end

--- What points across the shards when the target has the rows of a move and the source has them still.
---@param job table of workflows/move.lua, with its references
---@return { table: string, columns: string[], parent: string, rows: integer }[]? nil for none
function references.count(job)
  local list = {}
  add(list, job.references, count(job.source.inner, job.references, coming_in, job))
  add(list, job.target_references, count_out(job, job.target.inner))
  return #list > 0 and list or nil
end

local function refuse(job, shard, counts)
  local n = 0
  for _, each in ipairs(counts) do n = n + each end
  if n == 0 then return end
  errors.raise("CONSTRAINT", { shard = shard.name }, "the key %s can not go from %s to %s: %d foreign keys would "
    .. "point to rows on another shard, and PRAGMA foreign_keys is on", job.keys[1], job.source.name,
    job.target.name, n)
end

--- Raises CONSTRAINT when rows that stay refer to some that go, and keys are enforced.
---@param tx userdata on the source
function references.check_source(job, tx)
  if job.enforced then refuse(job, job.source, count(tx, job.references, coming_in, job)) end
end

local UNDO <const> = {}

-- The collation by which a parent's column is compared: that of its unique index.
local function collation_of(part, name)
  for _, set in ipairs(part.unique) do
    for _, column in ipairs(set) do
      if quote.fold(column.name) == quote.fold(name) then return column.collation end
    end
  end
  return "BINARY"
end

-- Staged rows whose parents are neither at the target nor staged too; ?1 and ?2 are the numbers of a move's rows.
local function staged_out(each, by_name)
  local part, filled, equal, beside = by_name[quote.fold(each.child)], {}, {}, {}
  local own, parent = names(each.columns, "t"), by_name[quote.fold(each.parent)]
  for i, name in ipairs(each.parent_columns) do
    filled[i], equal[i] = own[i] .. " IS NOT NULL", ("q.%s = %s"):format(quote.name(name), own[i])
    if parent then beside[i] = ("%s COLLATE %s"):format(equal[i], collation_of(parent, name)) end
  end
  local sql = ("FROM %s AS t WHERE t._collegedb_row BETWEEN ?1 AND ?2 AND %s"):format(fence.stage_name(part),
    table.concat(filled, " AND "))
  if each.has_parent then
    sql = ("%s AND NOT EXISTS (SELECT 1 FROM %s AS q WHERE %s)"):format(sql, quote.name(each.parent),
      table.concat(equal, " AND "))
  end
  if not parent then return sql end
  return ("%s AND NOT EXISTS (SELECT 1 FROM %s AS q WHERE q._collegedb_row BETWEEN ?1 AND ?2 AND %s)"):format(sql,
    fence.stage_name(parent), table.concat(beside, " AND "))
end

local function all_staged_out(job)
  local by_name, list = {}, {}
  for _, part in ipairs(job.target_parts) do by_name[quote.fold(part.name)] = part end
  for _, each in ipairs(job.target_references) do
    if each.child_part then list[#list + 1] = staged_out(each, by_name) end
  end
  return list
end

--- Conditions, as SQL, that are true when staged rows, ?1 to ?2, could not be brought in where keys are enforced.
---@param job table of workflows/move.lua
---@return string[]
function references.staged(job)
  local list = all_staged_out(job)
  for i, sql in ipairs(list) do list[i] = ("EXISTS (SELECT 1 %s)"):format(sql) end
  return list
end

--- Raises CONSTRAINT for such rows.
---@param first integer the rows' numbers
---@param last integer
function references.check_staged(job, first, last)
  local counts = {}
  for i, sql in ipairs(all_staged_out(job)) do
    counts[i] = job.target.inner:first("SELECT count(*) AS n " .. sql, { first, last }).n
  end
  refuse(job, job.target, counts)
end

--- The same for rows that go: they are brought in, looked at, and taken back.
---@param tx userdata on the target, with all rows staged
---@param bring_in fun(tx: userdata)
function references.check_target(job, tx, bring_in)
  if not job.enforced or #job.target_references == 0 then return end
  local counts
  local done, err = pcall(tx.transaction, tx, function(inner)
    bring_in(inner)
    counts = count_out(job, inner)
    error(UNDO, 0)
  end)
  if not done and err ~= UNDO then error(err, 0) end
  refuse(job, job.target, counts)
end

return references
