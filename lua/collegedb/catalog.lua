--- The catalog: what is known of the shards' tables. Read from their schemas,
-- and judged by the rules: key column, kind of key, keyspace.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local loader = require "collegedb.loader"
local quote = require "collegedb.quote"

local catalog = {}

---@class collegedb.Table
---@field name string as the first shard that has it writes it
---@field key_column string
---@field kind "integer"|"text"|"numeric"|"blob" by the column's affinity
---@field keyspace string of integer keys; "" is the global one
---@field fold boolean the key column compares NOCASE
---@field shards table<integer, boolean> indexes of the shards that have it

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

--- The shard's own tables and views, without SQLite's and CollegeDB's.
---@param shard userdata
---@return { name: string, kind: "table"|"view"|"virtual"|"shadow" }[]
function catalog.list(shard)
  local rows, virtuals = shard:all [[SELECT name, CASE WHEN type = 'view' THEN 'view'
      WHEN sql LIKE 'create virtual%' THEN 'virtual' ELSE 'table' END AS kind
    FROM sqlite_schema WHERE type IN ('table', 'view')
    AND substr(name, 1, 7) <> 'sqlite_' AND substr(name, 1, 11) <> '_collegedb_' ORDER BY name]], false
  for _, row in ipairs(rows) do virtuals = virtuals or row.kind == "virtual" end
  local shadow = virtuals and shadows(shard, rows) or {}
  for _, row in ipairs(rows) do
    if shadow[row.name] then row.kind = "shadow" end
  end
  return rows
end

--- The table of this name as the shard writes it, or nil.
function catalog.find(shard, name)
  local row = shard:first([[SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')
    AND name = ? COLLATE NOCASE]], { name })
  return row and row.name
end

local function columns_of(shard, name)
  local columns, keys = {}, {}
  for row in shard:each("SELECT cid, name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?)", { name }) do
    columns[#columns + 1] = {
      name = row.name, type = row.type or "", notnull = row.notnull == 1, pk = row.pk, generated = row.hidden >= 2,
      virtual = row.hidden == 2,
    }
    if row.pk > 0 then keys[row.pk] = row.name end
  end
  return columns, keys
end

--- What the rules are told of a table.
---@return table info
function catalog.inspect(shard, name, kind, shard_name)
  local columns, keys = {}, {}
  if kind == "table" then columns, keys = columns_of(shard, name) end
  return { name = name, shard = shard_name, kind = kind, columns = columns, primary_key = keys }
end

-- SQLite's rules for a declared type, in their order (https://www.sqlite.org/datatype3.html, 3.1).
local function affinity(declared)
  local type = declared:upper()
  if type:find "INT" then return "integer" end
  if type:find "CHAR" or type:find "CLOB" or type:find "TEXT" then return "text" end
  if type:find "BLOB" or type == "" then return "blob" end
  if type:find "REAL" or type:find "FLOA" or type:find "DOUB" then return "real" end
  return "numeric"
end

-- The column, and its number from 0 among those that are stored, as SQLite counts them for check_keys.
local function find_column(info, name)
  local position = 0
  for _, column in ipairs(info.columns) do
    if quote.fold(column.name) == quote.fold(name) then return column, position end
    if not column.virtual then position = position + 1 end
  end
end

--- What one table is to CollegeDB, or nil and the reason why it is nothing.
---@param rules table
---@param limit integer script_limit
---@return collegedb.Table|nil, string? reason
function catalog.judge(shard, info, rules, limit)
  local answer, reason = loader.call("rules " .. (rules.name or "?"), limit, rules.table, info)
  if answer == nil then return nil, reason or "the rules leave it out" end
  if type(answer) ~= "table" or type(answer.key_column) ~= "string" then
    errors.raise("SCRIPT", { table = info.name }, "the rules returned no key_column for table %s", info.name)
  end
  local column, position = find_column(info, answer.key_column)
  if not column then
    errors.raise("SCRIPT", { table = info.name }, "the rules name the key column %s, which table %s has not",
      answer.key_column, info.name)
  end
  local kind = affinity(column.type)
  if kind == "real" then return nil, ("its key column %s holds floating-point numbers"):format(column.name) end
  local collation = core.collation(shard, info.name, column.name):upper()
  if kind ~= "integer" and collation ~= "BINARY" and collation ~= "NOCASE" then
    return nil, ("its key column %s has the collation %s, by which different strings are one key"):format(column.name,
      collation)
  end
  local integer = kind == "integer"
  return {
    name = info.name, key_column = column.name, column = position, kind = kind, shards = {},
    keyspace = integer and (answer.keyspace or quote.fold(info.name)) or "",
    fold = not integer and collation == "NOCASE",
    unique = #info.primary_key == 1 and info.primary_key[1] == column.name,
  }
end

local function leave_out(self, info, reason, index)
  local folded = quote.fold(info.name)
  local entry = self.unkeyed[folded]
    or { name = info.name, reason = reason, shards = {}, is_view = info.kind == "view" }
  entry.shards[index] = true
  self.unkeyed[folded] = entry
end

local function add_table(self, index, info, rules, limit, handle)
  local found, reason = catalog.judge(handle, info, rules, limit)
  if not found then return leave_out(self, info, reason, index) end
  if self.bare then found.keyspace = "" end
  local folded = quote.fold(info.name)
  local known = self.tables[folded] or found
  if known.kind ~= found.kind or known.fold ~= found.fold or known.key_column ~= found.key_column then
    return leave_out(self, info, ("its key is %s (%s), but %s (%s) on the shards before it"):format(
      found.key_column, found.kind, known.key_column, known.kind), index)
  end
  self.tables[folded] = known
  known.shards[index] = true
end

local function add_shard(self, index, shard, rules, limit)
  for _, row in ipairs(catalog.list(shard.inner)) do
    local info = catalog.inspect(shard.inner, row.name, row.kind, shard.name)
    if row.kind ~= "shadow" then add_table(self, index, info, rules, limit, shard.handle) end
  end
end

--- Builds the catalog of all shards.
---@param shards { name: string, handle: userdata, inner: userdata }[]
---@param bare boolean? without keyspaces: 17 is one key in all tables
function catalog.build(shards, rules, limit, bare)
  local self = {
    bare = bare,
    tables = {},   -- by folded name: collegedb.Table
    unkeyed = {},  -- by folded name: { name, reason, shards }, what has no key, or another one on some shards
    versions = {}, -- by shard index: its schema version
  }
  for index, shard in ipairs(shards) do
    self.versions[index] = catalog.version(shard)
    add_shard(self, index, shard, rules, limit)
  end
  return self
end

--- Changes whenever the shard's schema does.
function catalog.version(shard) return shard.inner:first("PRAGMA schema_version").schema_version end

function catalog.is_stale(self, shards)
  for index, shard in ipairs(shards) do
    if self.versions[index] ~= catalog.version(shard) then return true end
  end
  return false
end

--- The tables of shard `index` whose keys are in a keyspace, in order of name.
---@param keyspace string without a shard's tag
---@return collegedb.Table[]
function catalog.in_keyspace(self, index, keyspace)
  local list = {}
  for _, each in pairs(self.tables) do
    if each.keyspace == keyspace and each.shards[index] then list[#list + 1] = each end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

-- A column without a type holds a key as whatever it was written: text, blob or integer.
local ANY_TYPE = [[%s IN (?1, CAST(?1 AS BLOB),
  CASE WHEN CAST(?1 AS TEXT) = CAST(CAST(?1 AS INTEGER) AS TEXT) THEN CAST(?1 AS INTEGER) END)]]

--- SQL that gives a row when one of the tables has the key ?1, or nil without tables.
---@param tables collegedb.Table[]
function catalog.probe_sql(tables)
  if #tables == 0 then return nil end
  local parts = {}
  for i, each in ipairs(tables) do
    local column = quote.name(each.key_column)
    local matches = each.kind == "blob" and ANY_TYPE or "%s = ?1"
    parts[i] = ("EXISTS (SELECT 1 FROM %s WHERE %s)"):format(quote.name(each.name), matches:format(column))
  end
  return "SELECT 1 AS found WHERE " .. table.concat(parts, " OR ")
end

--- Keyspaces of a shard that has a `keyspace` of its own carry it as a tag in front.
function catalog.tag(tag, keyspace) return tag and tag .. "\0" .. keyspace or keyspace end

--- The tag, or nil, and the keyspace without it.
function catalog.untag(keyspace)
  local at = keyspace:find("\0", 1, true)
  if not at then return nil, keyspace end
  return keyspace:sub(1, at - 1), keyspace:sub(at + 1)
end

--- A key as the tables of a keyspace hold it: an integer, or a string.
function catalog.key_value(keyspace, text) return keyspace ~= "" and core.decimal(text) or text end

return catalog
