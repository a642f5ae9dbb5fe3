--- The distinct values of a column, a page at a time. Between two pages nothing of the file is held, so that others can
-- write it however long the whole takes, and memory stays as small as a page.

local core = require "collegedb.core"
local existing_keys = require "collegedb.existing_keys"
local quote = require "collegedb.quote"

local key_pages = {}

local PAGE <const>, SCANNED <const> = 1000, 50000 -- without an index each page reads the whole table

---@class collegedb.KeyRow
---@field value any
---@field rows integer that have it
---@field extra any

-- The column is named with its table: an alias of the result may have the same name.
local function sql_of(found, extra)
  local column = "t." .. quote.name(found.key_column)
  local ordered = column .. (found.collation and " COLLATE " .. found.collation or "")
  local sql = ("SELECT %s AS value, typeof(%s) AS kind, %s AS rows, %s AS extra FROM %s AS t WHERE %%s%s "
    .. "ORDER BY %s LIMIT ?1"):format(column, column, found.unique and "1" or "count(*)", extra or "NULL",
    quote.name(found.name), found.unique and "" or " GROUP BY " .. ordered, ordered)
  return sql:format(column .. " IS NOT NULL"), sql:format(ordered .. " > ?2")
end

local function read(shard, sql, params)
  local page, last, kind = {}, nil, nil
  for row in shard:each(sql, params) do
    page[#page + 1] = { value = row.value, rows = row.rows, extra = row.extra }
    last, kind = row.value, row.kind
  end
  return page, kind == "blob" and core.blob(last) or last, last
end

--- A loop over the pages of a column's distinct values, NULL left out.
---@param shard userdata
---@param found { name: string, key_column: string, unique: boolean?, collation: string?, kind: string? }
---@param extra string? SQL of one more thing to be told of a value's rows, which are of the table `t`
---@return fun(): collegedb.KeyRow[]?
function key_pages.each(shard, found, extra)
  local first, following = sql_of(found, extra)
  local size = existing_keys.is_scanned(shard, found) and SCANNED or PAGE
  local position, seen, ended = nil, nil, false
  return function()
    if ended then return nil end
    local page, next_position, last = read(shard, position == nil and first or following, { size, position })
    -- A string that is no text, in a file of another encoding, may compare otherwise when it comes back.
    ended = #page < size or last == seen
    position, seen = next_position, last
    return #page > 0 and page or nil
  end
end

return key_pages
