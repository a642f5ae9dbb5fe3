-- Rules for a service of many tenants: a row of any table with a column `tenant` is where its tenant is.
-- In the config: rules = "tenants", script_dirs = { "examples" }.

local base = ... -- the default rules

local function has_column(info, name)
  for _, column in ipairs(info.columns) do
    if column.name == name then return true end
  end
  return false
end

return {
  name = "tenants", api = 1,
  table = function(info, catalog)
    local found, reason = base.table(info, catalog)
    if info.name == "tenants" or not has_column(info, "tenant") then return found, reason end
    return { key_column = found and found.key_column, group = { parent = "tenants", column = "tenant" } }
  end,
}
