--- The tables of one keyspace's groups, parents first, as SQL needs them: which
-- rows are of a group, and of which group a row is.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local far_schema = require "collegedb.far_schema"
local quote = require "collegedb.quote"

local group = {}

---@class collegedb.Part a table whose rows belong to groups of one keyspace
---@field name string
---@field found collegedb.Table
---@field parent collegedb.Part?
---@field column string by which its rows are of a group: its key column, or the one by which it follows
---@field columns string[]
---@field unique { name: string, collation: string }[][]
---@field depth integer

-- --- which tables ------------------------------------------------------------------

local function is_root(found, keyspace) return not found.group and found.keyspace == keyspace end

local function add_part(self, found, depth, parent)
  local part = { name = found.name, found = found, parent = parent, depth = depth,
    column = found.group and found.group.column or found.key_column }
  self[#self + 1] = part
  for _, each in pairs(self.tables) do
    local follows = each.group and quote.fold(each.group.parent) == quote.fold(found.name)
    if follows and each.shards[self.index] then add_part(self, each, depth + 1, part) end
  end
end

--- The parts of a keyspace's groups on shard `index`.
---@param known table of catalog.build
---@param keyspace string without a shard's tag
---@return collegedb.Part[]
function group.parts(known, index, keyspace)
  local self = { tables = known.tables, index = index }
  for _, each in pairs(known.tables) do
    if each.shards[index] and is_root(each, keyspace) then add_part(self, each, 0) end
  end
  local parts = table.move(self, 1, #self, 1, {})
  table.sort(parts, function(a, b)
    if a.depth ~= b.depth then return a.depth < b.depth end
    return a.name < b.name
  end)
  return parts
end

-- --- which rows ----------------------------------------------------------------------

--- Does the part's column hold the group's key itself?
local function is_direct(part)
  local follows = part.parent and part.found.group.follows
  return not part.parent or (follows ~= nil and not follows.member)
end

local function root_of(part)
  while part.parent do part = part.parent end
  return part.found
end

--- The table that the part's groups are named by, and the affinity of the part's column where that holds the key.
function group.key_kind(part)
  local follows = part.parent and part.found.group.follows
  if not is_direct(part) then return root_of(part), nil end
  return root_of(part), (follows or part.found).kind
end

--- SQL of the canonical text of the group's key that a row has, NULL where it has none.
---@param row string the row's name: an alias, NEW or OLD
function group.key_sql(part, row)
  local column = row .. "." .. quote.name(part.column)
  if is_direct(part) then
    local text = ("CAST(%s AS TEXT)"):format(column)
    return root_of(part).fold and ("lower(%s)"):format(text) or text
  end
  local alias = "p" .. part.depth
  return ("(SELECT %s FROM %s AS %s WHERE %s.%s = %s)"):format(group.key_sql(part.parent, alias),
    quote.name(part.parent.name), alias, alias, quote.name(part.found.group.target), column)
end

--- SQL of a condition on a row of the part: it is of one of the groups whose key `keys` selects, as text.
---@param keys string a SELECT
function group.rows_sql(part, keys)
  local column = quote.name(part.column)
  if not is_direct(part) then
    local parent = part.parent
    return ("%s IN (SELECT %s FROM %s WHERE %s)"):format(column, quote.name(part.found.group.target),
      quote.name(parent.name), group.rows_sql(parent, keys))
  end
  local root, kind = group.key_kind(part)
  if root.kind == "integer" then
    -- Without keyspaces there are other keys among them, of which SQLite would make some number.
    local numbers = root.keyspace == "" and " WHERE key = CAST(CAST(key AS INTEGER) AS TEXT)" or ""
    return ("%s IN (SELECT CAST(key AS INTEGER) FROM (%s)%s)"):format(column, keys, numbers)
  end
  if root.fold then
    -- One with capitals is another table's, which does not compare NOCASE: these are not its rows.
    return ("%s COLLATE NOCASE IN (SELECT key FROM (%s) WHERE key = lower(key))"):format(column, keys)
  end
  if root.kind == "text" and kind == "text" then return ("%s IN (%s)"):format(column, keys) end
  -- A column without a type holds a key as text, as a blob, or as an integer.
  return ("%s IN (SELECT key FROM (%s) UNION ALL SELECT CAST(key AS BLOB) FROM (%s) UNION ALL "
    .. "SELECT CAST(key AS INTEGER) FROM (%s) WHERE key = CAST(CAST(key AS INTEGER) AS TEXT))"):format(column, keys,
    keys, keys)
end

--- SQL of a condition: the shard has rows of the group whose key `keys` selects.
---@param parts collegedb.Part[]
---@param keys string a SELECT
function group.any_sql(parts, keys)
  local list = {}
  for _, part in ipairs(parts) do
    if is_direct(part) then
      list[#list + 1] = ("EXISTS (SELECT 1 FROM %s WHERE %s)"):format(quote.name(part.name), group.rows_sql(part, keys))
    end
  end
  return #list > 0 and quote.joined(list, "OR") or "0"
end

--- The keyspaces that have groups on shard `index`, without tags.
---@param known table of catalog.build
---@return string[]
function group.keyspaces(known, index)
  local seen, list = {}, {}
  for _, each in pairs(known.tables) do
    if each.shards[index] and not each.group and not seen[each.keyspace] then
      seen[each.keyspace] = true
      list[#list + 1] = each.keyspace
    end
  end
  table.sort(list)
  return list
end

--- The group of a row that is told by its own key: keyspace and canonical text of the group's key, or nil.
---@param state table of lua/collegedb/instance.lua
---@param keyspace string of the row's own key
function group.of_row(state, index, keyspace, text)
  for _, found in ipairs(catalog.in_keyspace(state.catalog, index, keyspace, "rows")) do
    local root = state.catalog.tables[quote.fold(found.group.root)]
    for _, part in ipairs(group.parts(state.catalog, index, root.keyspace)) do
      local row = part.name == found.name and state.shards[index].inner:first(("SELECT %s AS key FROM %s AS t WHERE %s")
        :format(group.key_sql(part, "t"), quote.name(found.name), catalog.holds_sql(found)),
        { catalog.key_value(keyspace, text) })
      if row and row.key then return root.keyspace, row.key end
    end
  end
end

-- --- how they are stored ---------------------------------------------------------------

local function columns_of(shard, name)
  local columns = {}
  for row in shard:each("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", { name }) do
    columns[#columns + 1] = row.name
  end
  return columns
end

-- Sets of columns in which no two rows may be equal: what a REPLACE deletes other rows by. Nil and the name of an
-- index over an expression or a generated column, whose value cannot be told from outside.
local function unique_of(shard, name, columns)
  local sets, stored = {}, {}
  for _, column in ipairs(columns) do stored[column] = true end
  for _, index in ipairs(shard:all("SELECT name FROM pragma_index_list(?) WHERE \"unique\"", { name })) do
    local set = {}
    for row in shard:each([[SELECT cid, name, coll FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno]],
        { index.name }) do
      if row.cid < 0 or not stored[row.name] then return nil, index.name end
      set[#set + 1] = { name = row.name, collation = row.coll }
    end
    sets[#sets + 1] = set
  end
  local alias = shard:first([[SELECT name FROM pragma_table_info(?1) WHERE pk AND upper(type) = 'INTEGER'
    AND (SELECT count(*) FROM pragma_table_info(?1) WHERE pk) = 1]], { name })
  if alias then sets[#sets + 1] = { { name = alias.name, collation = "BINARY" }, alias = true } end
  return sets
end

-- D1 takes tables of 100 columns; that for the rows of one that arrive has one more.
local FAR_COLUMNS <const> = 99

--- Reads how the parts are stored on a shard: `columns`, without generated ones, and `unique`. Raises UNSUPPORTED for
-- what no fence can hold.
---@param shard userdata
---@param parts collegedb.Part[]
function group.read_storage(shard, parts)
  local columns = core.is_single(shard) and FAR_COLUMNS or math.maxinteger
  shard = far_schema.of(shard)
  for _, part in ipairs(parts) do
    part.columns = columns_of(shard, part.name)
    if #part.columns > columns then
      errors.raise("UNSUPPORTED", { table = part.name }, "rows of %s can not be moved: it has %d columns, and on a D1 "
        .. "database %d are possible for that", part.name, #part.columns, columns)
    end
    local unique, index = unique_of(shard, part.name, part.columns)
    if not unique then
      errors.raise("UNSUPPORTED", { table = part.name }, "rows of %s can not be moved: its unique index %s is over an "
        .. "expression or a generated column, so that no fence can tell which rows a REPLACE would delete", part.name,
        index)
    end
    part.unique = unique
  end
end

return group
