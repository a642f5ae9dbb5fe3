--- The default rules: what an existing table's key is, and which table it follows.
--
-- The key is the declared primary key, of several columns the first, else a column named `id`. A table whose foreign
-- key deletes with its parent (ON DELETE CASCADE) belongs to its parent's group. A table for which no
-- key is found is left where it is, with the reason in the reports.

local rules = { name = "default", api = 1 }

local function same(a, b) return a:lower() == b:lower() end

local function place_of(info, name)
  for i, column in ipairs(info.columns) do
    if same(column.name, name) then return i end
  end
  return #info.columns + 1
end

-- The column of a foreign key that holds the parent's key, or the first part of it.
local function key_part(foreign, parent)
  for i, name in ipairs(foreign.parent_columns) do
    if parent.primary_key[1] and same(name, parent.primary_key[1]) then return foreign.columns[i] end
  end
  return foreign.columns[1]
end

-- Of several parents the one that the primary key begins with, else the one whose column comes first.
local function group_of(info, catalog)
  local best, best_place
  for _, foreign in ipairs(info.foreign_keys) do
    local parent = catalog[foreign.parent]
    if foreign.on_delete == "CASCADE" and parent and not same(foreign.parent, info.name) then
      local column = key_part(foreign, parent)
      local leads = info.primary_key[1] and same(column, info.primary_key[1])
      local place = leads and 0 or place_of(info, column)
      if not best or place < best_place then
        best, best_place = { parent = foreign.parent, column = column }, place
      end
    end
  end
  return best
end

--- Called once for each table and view of each shard.
---@param info collegedb.TableInfo
---@param catalog table<string, collegedb.TableInfo> the shard's tables by name, in any case
---@return table|nil key { key_column, keyspace, group = { parent, column }, reference }, or nil and the reason
function rules.table(info, catalog)
  if info.kind ~= "table" then return nil, ("it is a %s, not a table with rows of its own"):format(info.kind) end
  local key, group = info.primary_key, group_of(info, catalog)
  if #key == 1 then return { key_column = key[1], group = group } end
  if group and #key > 1 then return { group = group } end
  if #key > 1 then return { key_column = key[1] } end
  for _, column in ipairs(info.columns) do
    if same(column.name, "id") then return { key_column = column.name, group = group } end
  end
  if group then return { group = group } end
  return nil, "it has no primary key and no column id; declare one, or name its key column in the rules"
end

return rules
