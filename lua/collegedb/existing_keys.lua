--- The keys that a table of a shard holds, as the router takes them.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local quote = require "collegedb.quote"

local existing_keys = {}

local KEY_MAX = core.key_max

-- The same keys as src/directory/takeover.c finds usable.
local function to_key(found, space, prefix, value)
  local kind = math.type(value) or type(value)
  if found.kind == "integer" and kind ~= "integer" then return nil end
  if found.kind == "integer" and found.keyspace ~= "" then return core.key(space, tostring(value), prefix .. value) end
  if kind == "integer" then return tostring(value) end
  if kind ~= "string" or value == "" or #value > KEY_MAX then return nil end
  return found.fold and quote.fold(value) or value
end

--- The canonical text of a value of the column; nil when it is no usable key.
---@return string?
function existing_keys.text_of(found, value)
  local plain = to_key(found, "", "", value)
  return type(plain) == "userdata" and tostring(value) or plain
end

--- The four values of a `for` over a table's distinct keys, one at a time. Rows without a usable key are passed over.
---@param shard userdata
---@param found collegedb.Table
---@param tag string? the keyspace of the shard
function existing_keys.each(shard, found, tag)
  local column = quote.name(found.key_column)
  local step, state, first, cursor = shard:each(("SELECT %s %s AS key FROM %s WHERE %s IS NOT NULL"):format(
    found.unique and "" or "DISTINCT", column, quote.name(found.name), column))
  local space = catalog.tag(tag, found.keyspace)
  local prefix = ("%s%s:"):format(tag and tag .. "/" or "", found.name)
  return function()
    for row in step, state, first do
      local key = to_key(found, space, prefix, row.key)
      if key then return key end
    end
  end, nil, nil, cursor
end

--- How many rows have no usable key.
function existing_keys.unusable(shard, found)
  local test = found.kind == "integer" and "typeof(%s) <> 'integer'"
    or "CASE typeof(%s) WHEN 'integer' THEN 0 WHEN 'text' THEN %s WHEN 'blob' THEN %s ELSE 1 END"
  local column = quote.name(found.key_column)
  local length = ("length(CAST(%s AS BLOB)) NOT BETWEEN 1 AND %d"):format(column, KEY_MAX)
  return shard:first(("SELECT count(*) AS n FROM %s WHERE " .. test):format(quote.name(found.name), column, length,
    length)).n
end

--- Must the whole table be read to find one key?
function existing_keys.is_scanned(shard, found)
  local plan = "EXPLAIN QUERY PLAN SELECT 1 FROM %s WHERE %s"
  for _, row in ipairs(shard:all(plan:format(quote.name(found.name), catalog.holds_sql(found)), { "" })) do
    if row.detail:find "^SCAN" then return true end
  end
  return false
end

return existing_keys
