-- A strategy decides where a NEW key goes. This one keeps the people of one company together.
return {
  name = "by_company", api = 1,
  select = function(key, shards, ctx)
    local company = tostring(key):match "@(.+)$" or tostring(key)
    local number = ctx.hash(company) % #shards + 1
    return shards[number].name
  end,
}
