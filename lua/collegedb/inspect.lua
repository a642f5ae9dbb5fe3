--- What a shard's schema says of its tables: the `info` that rules are told.

local core = require "collegedb.core"
local far_schema = require "collegedb.far_schema"
local quote = require "collegedb.quote"

local inspect = {}

---@class collegedb.TableInfo
---@field name string
---@field shard string
---@field kind "table"|"view"|"virtual"|"shadow"
---@field columns { name: string, type: string, notnull: boolean, pk: integer, generated: boolean, collation: string }[]
---@field primary_key string[] names, in the order of the key
---@field foreign_keys { columns: string[], parent: string, parent_columns: string[], on_delete: string }[]
---@field unique { columns: string[] }[] UNIQUE constraints and indexes over plain columns, the primary key's too
---@field triggers string[] names
---@field row_count integer counted when it is asked for

-- pragma_table_list tells shadow tables, but fails as a whole on one view that does
-- not work; then what a virtual table's name begins is taken for its shadow.
local function shadows(shard, rows)
  local found = {}
  local told = pcall(function()
    for row in shard:each "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'" do
      found[row.name] = true
    end
  end)
  if told then return found end
  for _, virtual in ipairs(rows) do
    for _, row in ipairs(rows) do
      local start = virtual.name .. "_"
      if virtual.kind == "virtual" and row.name:sub(1, #start) == start then found[row.name] = true end
    end
  end
  return found
end

--- SQL that leaves out D1's own tables, which may not be asked about.
---@param name string the column with their names
---@return string # " AND …" or ""
function inspect.without_d1s(shard, name)
  return core.kind(shard) == "d1" and (" AND substr(%s, 1, 4) <> '_cf_'"):format(name) or ""
end

--- The shard's own tables and views, without SQLite's, D1's and CollegeDB's.
---@param shard userdata
---@return { name: string, kind: "table"|"view"|"virtual"|"shadow" }[]
function inspect.list(shard)
  shard = far_schema.of(shard)
  local rows, virtuals = shard:all([[SELECT name, CASE WHEN type = 'view' THEN 'view'
      WHEN sql LIKE 'create virtual%' THEN 'virtual' ELSE 'table' END AS kind
    FROM sqlite_schema WHERE type IN ('table', 'view')
    AND substr(name, 1, 7) <> 'sqlite_' AND substr(name, 1, 11) <> '_collegedb_']] .. inspect.without_d1s(shard, "name")
    .. " ORDER BY name"), false
  for _, row in ipairs(rows) do virtuals = virtuals or row.kind == "virtual" end
  local shadow = virtuals and shadows(shard, rows) or {}
  for _, row in ipairs(rows) do
    if shadow[row.name] then row.kind = "shadow" end
  end
  return rows
end

--- SQL that gives the name of a table, ?1 in any case, as the shard writes it.
inspect.FIND = [[SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE]]

--- The table of this name as the shard writes it, or nil.
function inspect.find(shard, name)
  local row = shard:first(inspect.FIND, { name })
  return row and row.name
end

--- Changes whenever the shard's schema does.
---@param shard userdata
---@return integer
function inspect.version(shard)
  if core.kind(shard) ~= "d1" then return shard:first("PRAGMA schema_version").schema_version end
  return far_schema.version(far_schema.look({ shard }, 0)[1])
end

--- The same of several shards; those that are far away are asked at once.
---@param shards userdata[]
---@param lenient boolean? one that can not be asked now is taken for what it was
---@return integer[]
function inspect.versions(shards, lenient)
  local versions, far, at = {}, {}, {}
  for i, shard in ipairs(shards) do
    if core.kind(shard) == "d1" then far[#far + 1], at[#far + 1] = shard, i
    else versions[i] = inspect.version(shard) end
  end
  for n, found in ipairs(far_schema.look(far, lenient and far_schema.lately or 0, lenient)) do
    versions[at[n]] = far_schema.version(found)
  end
  return versions
end

local function column_of(row)
  return {
    name = row.name, type = row.type or "", notnull = row.notnull == 1, pk = row.pk, generated = row.hidden >= 2,
    virtual = row.hidden == 2, -- computed when read: not among the columns that are stored
  }
end

-- A column's collation is asked for when a rule looks at it.
local function lazy_column(shard, table_name)
  return { __index = function(column, field)
    if field ~= "collation" then return nil end
    column.collation = core.collation(shard, table_name, column.name):upper()
    return column.collation
  end }
end

-- Of all tables at once: columns, and primary keys, by table.
local function columns_of(shard)
  local columns, keys, lazy = {}, {}, {}
  for row in shard:each([[SELECT s.name AS "table", c.name, c.type, c."notnull", c.pk, c.hidden
      FROM sqlite_schema AS s, pragma_table_xinfo(s.name) AS c WHERE s.type = 'table'
      AND s.sql NOT LIKE 'create virtual%' AND substr(s.name, 1, 11) <> '_collegedb_']]
      .. inspect.without_d1s(shard, "s.name") .. " ORDER BY s.name, c.cid") do
    local name = row.table
    if not lazy[name] then columns[name], keys[name], lazy[name] = {}, {}, lazy_column(shard, name) end
    table.insert(columns[name], setmetatable(column_of(row), lazy[name]))
    if row.pk > 0 then keys[name][row.pk] = row.name end
  end
  return columns, keys
end

-- Those of all tables at once: most have none.
local function foreign_keys(shard)
  local by_table = {}
  for row in shard:each([[SELECT s.name AS child, f.id, f."table" AS parent, f."from" AS "column",
      f."to" AS target, f.on_delete FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f
      WHERE s.type = 'table']] .. inspect.without_d1s(shard, "s.name") .. " ORDER BY s.name, f.id DESC, f.seq") do
    local list = by_table[row.child] or {}
    by_table[row.child] = list
    local key = list[#list]
    if not key or key.id ~= row.id then
      key = { id = row.id, columns = {}, parent = row.parent, parent_columns = {}, on_delete = row.on_delete }
      list[#list + 1] = key
    end
    key.columns[#key.columns + 1] = row.column
    key.parent_columns[#key.parent_columns + 1] = row.target -- none: the parent's primary key is meant
  end
  return by_table
end

local function unique_of(shard, info)
  shard = far_schema.of(shard)
  local list = {}
  if #info.primary_key > 0 then list[1] = { columns = info.primary_key } end
  local name, columns, plain
  local function add()
    if plain then list[#list + 1] = { columns = columns } end
  end
  for row in shard:each([[SELECT l.name AS "index", i.cid, i.name FROM pragma_index_list(?) AS l,
      pragma_index_info(l.name) AS i WHERE l."unique" AND NOT l.partial AND l.origin <> 'pk'
      ORDER BY l.name, i.seqno]], { info.name }) do
    if row.index ~= name then
      add()
      name, columns, plain = row.index, {}, true
    end
    plain = plain and row.cid >= 0
    columns[#columns + 1] = row.name
  end
  add()
  return list
end

local function triggers_of(shard, info)
  shard = far_schema.of(shard)
  local names = {}
  for row in shard:each([[SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE
      ORDER BY name]], { info.name }) do
    names[#names + 1] = row.name
  end
  return names
end

local function count_of(shard, info)
  return shard:first(("SELECT count(*) AS n FROM %s"):format(quote.name(info.name))).n
end

local asked_for = { unique = unique_of, triggers = triggers_of, row_count = count_of }

local function info_of(shard, row, shard_name, keys, columns, primary)
  local info = { name = row.name, shard = shard_name, kind = row.kind, columns = {}, primary_key = {},
    foreign_keys = keys[row.name] or {} }
  if row.kind == "table" then info.columns, info.primary_key = columns[row.name] or {}, primary[row.name] or {} end
  return setmetatable(info, { __index = function(_, field)
    local read = asked_for[field]
    if not read then return nil end
    info[field] = read(shard, info)
    return info[field]
  end })
end

-- A foreign key without columns of the parent means its primary key.
local function name_parent_columns(infos)
  for _, info in ipairs(infos) do
    for _, key in ipairs(info.foreign_keys) do
      local parent = infos[key.parent]
      key.id = nil
      if parent and #key.parent_columns == 0 then key.parent_columns = parent.primary_key end
    end
  end
end

local function by_any_case(infos, name) return type(name) == "string" and rawget(infos, quote.fold(name)) or nil end

--- The tables and views of a shard, without what belongs to a virtual table: an
-- array in order of name, in which each also stands under its name, in any case.
---@param shard userdata
---@param shard_name string
---@return collegedb.TableInfo[]
function inspect.tables(shard, shard_name)
  local schema = far_schema.of(shard)
  local keys, columns, primary = foreign_keys(schema), columns_of(schema)
  local infos = setmetatable({}, { __index = by_any_case })
  for _, row in ipairs(inspect.list(shard)) do
    if row.kind ~= "shadow" then
      local info = info_of(shard, row, shard_name, keys, columns, primary)
      infos[#infos + 1] = info
      infos[quote.fold(row.name)] = info
    end
  end
  name_parent_columns(infos)
  return infos
end

return inspect
