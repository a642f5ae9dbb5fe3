--- Values on their way to D1, exactly: as one JSON array that SQL takes apart. They come back as d1_sql.wrap asks for
-- them: NULL as null, a real as a number, anything else as text whose first byte is its type. `i` an integer in digits,
-- `t` text, `h` text and `b` a blob in hexadecimal digits, `r+` and `r-` infinity. src/bind/d1_rows.c reads them.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local d1_values = {}

local function usage(...) errors.raise("USAGE", nil, ...) end

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local escapes <const> = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

---@param text string UTF-8
---@return string # as JSON
function d1_values.json_string(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

-- A real as an integer, and what to multiply it by: SQLite reads decimal digits as a real that may be off by the
-- last bit, while whole numbers and powers of two are exact.
local function scaled(value)
  local mantissa, exponent = value, 0
  while mantissa % 1 ~= 0 do mantissa, exponent = mantissa * 2, exponent - 1 end
  while math.abs(mantissa) >= 2 ^ 53 do mantissa, exponent = mantissa / 2, exponent + 1 end
  local factor = "*1.0"
  for _ = 1, math.abs(exponent) // 62 do factor = factor .. (exponent > 0 and "*" or "/") .. "(1<<62)" end
  local rest = math.abs(exponent) % 62
  if rest > 0 then factor = ("%s%s(1<<%d)"):format(factor, exponent > 0 and "*" or "/", rest) end
  return ("%d"):format(mantissa), "(json_extract(?1,'$[%d]')" .. factor .. ")"
end

-- How SQL reads the n-th item of the array back. A bare parameter has no affinity, and neither have these.
local plain <const>, bytes <const>, text_of_bytes <const> =
  "json_extract(?1,'$[%d]')", "unhex(json_extract(?1,'$[%d]'))", "(+CAST(unhex(json_extract(?1,'$[%d]')) AS TEXT))"

-- The item for a value, and how it is read back; nil for what SQL can not have.
local function encode(value)
  local kind = type(value)
  if value == core.null then return "null", plain end
  if kind == "boolean" then return value and "1" or "0", plain end
  if math.type(value) == "integer" then return ("%d"):format(value), plain end
  if value == math.huge or value == -math.huge then return value > 0 and "9e999" or "-9e999", plain end
  if kind == "number" and value == value then return scaled(value) end
  if kind == "string" then
    if utf8.len(value) and not value:find "\0" then return d1_values.json_string(value), plain end
    return '"' .. hex(value) .. '"', text_of_bytes
  end
  local class = kind == "userdata" and getmetatable(value)
  if class and class.__name == "collegedb.blob" then return '"' .. hex(tostring(value)) .. '"', bytes end
end

-- The values by number, from positions or names.
local function by_number(params, count, names)
  local values, taken = {}, {}
  for name, number in pairs(names) do
    local field = name:sub(2)
    if params[field] ~= nil then values[number], taken[field] = params[field], true end
  end
  for i = 1, count do
    if params[i] ~= nil then values[i], taken[i] = params[i], true end
  end
  for field in pairs(params) do
    if not taken[field] then
      usage("parameter %s is superfluous: the statement takes %d", tostring(field), count)
    end
  end
  return values
end

--- The JSON array of a statement's parameters, and the expression of each.
---@param params table? as every statement takes it
---@param count integer
---@param names table<string, integer>
---@return string json, string[] expressions
function d1_values.encode(params, count, names)
  if params ~= nil and type(params) ~= "table" then usage("params is a table, not a %s", type(params)) end
  local values, items, expressions = by_number(params or {}, count, names), {}, {}
  for i = 1, count do
    if values[i] == nil then
      usage("parameter %d is missing: the statement takes %d (collegedb.null binds NULL)", i, count)
    end
    local item, form = encode(values[i])
    if not item then
      usage("parameter %d is a %s: it must be a string, number, boolean, collegedb.null or collegedb.blob(…)", i,
        values[i] ~= values[i] and "NaN" or type(values[i]))
    end
    items[i], expressions[i] = item, form:format(i - 1)
  end
  return "[" .. table.concat(items, ",") .. "]", expressions
end

return d1_values
