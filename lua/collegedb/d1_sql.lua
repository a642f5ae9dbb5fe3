--- Rewrites a statement for D1, whose interface carries every number as a float and at most 100 parameters: values
-- go in as one JSON text, and come out as text that names their type.

local errors = require "collegedb.errors"

local d1_sql = {}

---@class collegedb.d1.Token
---@field kind string "name", "quoted", "parameter", "sign", "other"
---@field text string
---@field from integer where it begins in the statement
---@field to integer

-- Where a string or quoted name ends that begins at `at`; a doubled mark stands for itself.
local function end_of_quoted(sql, at, mark)
  local from = at + 1
  while true do
    local found = sql:find(mark, from, true)
    if not found then return #sql end
    if sql:sub(found + 1, found + 1) ~= mark then return found end
    from = found + 2
  end
end

-- Where the token that begins at `at` ends, and its kind; nil for spaces and comments.
local function scan_token(sql, at)
  local char = sql:sub(at, at)
  if char == "'" then return end_of_quoted(sql, at, char), "other" end
  if char == '"' or char == "`" then return end_of_quoted(sql, at, char), "quoted" end
  if char == "[" then return sql:find("]", at, true) or #sql, "quoted" end
  if sql:find("^%-%-", at) then return (sql:find("\n", at, true) or #sql) end
  if sql:find("^/%*", at) then
    local _, stop = sql:find("*/", at + 2, true)
    return stop or #sql
  end
  if char == "?" then return select(2, sql:find("^%?%d*", at)), "parameter" end
  local stop = select(2, sql:find("^[:@$][%w_\128-\255$:]+", at))
  if stop then return stop, "parameter" end
  stop = select(2, sql:find("^[%a_\128-\255][%w_$\128-\255]*", at))
  if stop then return stop, "name" end
  stop = select(2, sql:find("^%d[%w_.]*", at))
  if stop then return stop, "other" end
  stop = select(2, sql:find("^%s+", at))
  if stop then return stop end
  return at, "sign"
end

---@param sql string
---@return collegedb.d1.Token[]
function d1_sql.tokens(sql)
  local tokens, at = {}, 1
  while at <= #sql do
    local stop, kind = scan_token(sql, at)
    if kind then tokens[#tokens + 1] = { kind = kind, text = sql:sub(at, stop), from = at, to = stop } end
    at = stop + 1
  end
  return tokens
end

local main_verbs <const> = { SELECT = "read", VALUES = "read", INSERT = "write", REPLACE = "write", UPDATE = "write",
  DELETE = "write" }

--- What is to be known of a statement.
---@param sql string
---@return { tokens: collegedb.d1.Token[], kind: "read"|"write"|"other", returning: integer?, stop: integer }
-- `returning` is the index of that word's token; `stop` where the statement ends, without semicolon and comments
function d1_sql.read(sql)
  local tokens, depth, kind, returning = d1_sql.tokens(sql), 0, nil, nil
  while #tokens > 0 and tokens[#tokens].text == ";" do tokens[#tokens] = nil end
  local first = tokens[1] and tokens[1].text:upper()
  for i, token in ipairs(tokens) do
    if token.text == "(" then depth = depth + 1 elseif token.text == ")" then depth = depth - 1 end
    local word = depth == 0 and token.kind == "name" and token.text:upper()
    if word and not kind and (i == 1 or first == "WITH") then kind = main_verbs[word] end
    if word == "RETURNING" and kind == "write" then returning = i end
  end
  local stop = #tokens > 0 and tokens[#tokens].to or 0
  return { tokens = tokens, kind = kind or "other", returning = returning, stop = stop }
end

--- Numbers the parameters as SQLite does.
---@return table<collegedb.d1.Token, integer> numbers
---@return integer count
---@return table<string, integer> names with their sign
function d1_sql.number(tokens)
  local numbers, names, count = {}, {}, 0
  for _, token in ipairs(tokens) do
    if token.kind == "parameter" then
      local number = tonumber(token.text:match "^%?(%d+)$") or names[token.text] or count + 1
      if token.text:find "^[:@$]" then names[token.text] = number end
      if number < 1 or number > 32766 then
        errors.raise("SQL", nil, "the parameter %s is out of range", token.text)
      end
      numbers[token], count = number, math.max(count, number)
    end
  end
  return numbers, count, names
end

--- The statement with each parameter replaced by its expression.
---@param expressions string[] by number
function d1_sql.fill(sql, parsed, numbers, expressions)
  local parts, at = {}, 1
  for _, token in ipairs(parsed.tokens) do
    if numbers[token] then
      parts[#parts + 1] = sql:sub(at, token.from - 1) .. expressions[numbers[token]]
      at = token.to + 1
    end
  end
  parts[#parts + 1] = sql:sub(at, parsed.stop)
  return table.concat(parts)
end

-- A value as text whose first byte is its type; NULL stays NULL. A real comes as the number that it is: a number's
-- way through JavaScript is exact for reals, and SQLite's own way of writing them is not. Text that is not plain ASCII
-- comes as its bytes, since JavaScript replaces what is no UTF-8. Only infinity times 0 is NULL.
local ENCODED <const> = "CASE typeof(%s) WHEN 'integer' THEN 'i'||(%s) "
  .. "WHEN 'real' THEN CASE WHEN (%s)*0.0 IS NULL THEN CASE WHEN (%s)>0 THEN 'r+' ELSE 'r-' END ELSE (%s) END "
  .. "WHEN 'text' THEN CASE WHEN (%s) GLOB '*[^'||char(1)||'-'||char(127)||']*' OR instr(CAST(%s AS BLOB),x'00') "
  .. "THEN 'h'||hex(%s) ELSE 't'||(%s) END "
  .. "WHEN 'blob' THEN 'b'||hex(%s) END"

local function encoded(expression) return (ENCODED:gsub("%%s", (expression:gsub("%%", "%%%%")))) end

--- A name that can not be taken for a string when there is no such column.
local function column_name(name) return "`" .. name:gsub("`", "``") .. "`" end

--- A reading statement whose columns come out encoded, under the names 1, 2, …. Fails if the statement has no
-- columns of these names any more, or another number of them.
---@param filled string
---@param columns string[]
function d1_sql.wrap(filled, columns)
  local names, positions, values = {}, {}, {}
  for i, name in ipairs(columns) do
    names[i], positions[i] = column_name(name), "c" .. i
    values[i] = encoded("c" .. i) .. " AS c" .. i
  end
  return ("WITH _collegedb_q AS MATERIALIZED (%s\n), _collegedb_p(%s) AS (SELECT * FROM _collegedb_q) "
    .. "SELECT %s FROM _collegedb_p WHERE NOT EXISTS (SELECT %s FROM _collegedb_q LIMIT 0)"):format(filled,
    table.concat(positions, ","), table.concat(values, ","), table.concat(names, ","))
end

-- The expressions behind RETURNING: { from, to, name }.
local function returned(sql, parsed)
  local items, depth = {}, 0
  local tokens, item = parsed.tokens, nil
  for i = parsed.returning + 1, #tokens do
    local token = tokens[i]
    if token.text == "(" then depth = depth + 1 elseif token.text == ")" then depth = depth - 1 end
    if depth == 0 and token.text == "," then
      item = nil
    else
      if not item then
        item = { from = token.from }
        items[#items + 1] = item
      end
      local as = depth == 0 and token.text:upper() == "AS" and tokens[i + 1]
      if as then item.name = sql:sub(as.from, as.to) end
      if not item.name then item.to = token.to end
    end
  end
  return items
end

--- The same for a statement with RETURNING; returns also the names.
function d1_sql.wrap_returning(sql, parsed)
  local values = {}
  for i, item in ipairs(returned(sql, parsed)) do
    local expression = sql:sub(item.from, item.to)
    if expression:find "%*$" then
      errors.raise("UNSUPPORTED", { sql = sql }, "RETURNING * can not be read exactly from D1: name the columns")
    end
    values[i] = ("%s AS %s"):format(encoded("(" .. expression .. ")"), item.name or column_name(expression))
  end
  return sql:sub(1, parsed.tokens[parsed.returning].to) .. " " .. table.concat(values, ",")
end

return d1_sql
