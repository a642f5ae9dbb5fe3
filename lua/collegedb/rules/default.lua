--- The default rules: what an existing table's key is.
--
-- A declared primary key of one column, else a column named `id`. A table for
-- which no key is found is left where it is, with the reason in the reports.

local rules = { name = "default", api = 1 }

--- Called once for each table of each shard.
---@param info table name, shard, kind, columns, primary_key
---@return table|nil key { key_column = name }, or nil and the reason
function rules.table(info)
  if info.kind ~= "table" then return nil, ("it is a %s, not a table with rows of its own"):format(info.kind) end
  local key = info.primary_key
  if #key == 1 then return { key_column = key[1] } end
  if #key > 1 then
    return nil, ("its primary key has %d columns (%s); name the one that decides the shard in the rules")
      :format(#key, table.concat(key, ", "))
  end
  for _, column in ipairs(info.columns) do
    if column.name:lower() == "id" then return { key_column = column.name } end
  end
  return nil, "it has no primary key and no column id; declare one, or name its key column in the rules"
end

return rules
