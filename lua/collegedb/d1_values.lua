--- Values on their way to D1 and back, exactly: in as one JSON array that SQL takes apart, out as text that begins
-- with its type.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local d1_values = {}

local function usage(...) errors.raise("USAGE", nil, ...) end

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local function unhex(digits)
  return (digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local escapes <const> = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

---@param text string UTF-8
---@return string # as JSON
function d1_values.json_string(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function json_number(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value == math.huge then return "9e999" end
  if value == -math.huge then return "-9e999" end
  local text = ("%.17g"):format(value)
  return text:find "[.e]" and text or text .. ".0"
end

-- How SQL reads the n-th item of the array back. A bare parameter has no affinity, and neither have these.
local plain <const>, bytes <const>, text_of_bytes <const> =
  "json_extract(?1,'$[%d]')", "unhex(json_extract(?1,'$[%d]'))", "(+CAST(unhex(json_extract(?1,'$[%d]')) AS TEXT))"

-- The item for a value, and how it is read back; nil for what SQL can not have.
local function encode(value)
  local kind = type(value)
  if value == core.null then return "null", plain end
  if kind == "boolean" then return value and "1" or "0", plain end
  if kind == "number" and value == value then return json_number(value), plain end
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

local function real(text)
  if text:find "Inf" then return text:find "^-" and -math.huge or math.huge end
  return tonumber(text) + 0.0
end

local decoders <const> = { i = math.tointeger, r = real, t = function(text) return text end, h = unhex, b = unhex }

--- A value that came encoded; nil for NULL. Returns false and why for anything else.
function d1_values.decode(value)
  if value == core.null then return nil end
  local decoder = type(value) == "string" and decoders[value:sub(1, 1)]
  local decoded = decoder and decoder(value:sub(2))
  if decoded == nil then return false, "a value came in another form than it was asked for" end
  return decoded
end

--- May the value of an answer be taken as it is? Numbers may be either kind, and blobs come as arrays.
function d1_values.is_plain(value) return type(value) == "string" or value == core.null end

--- The value of an answer that could not be asked for encoded (PRAGMA, EXPLAIN): whole numbers are integers.
function d1_values.guess(value)
  if type(value) == "string" then return value end
  if type(value) == "number" and math.abs(value) < 2 ^ 53 then return math.tointeger(value) or value end
  if value == core.null then return nil end
  return false, "a value of this statement can not be read exactly from D1"
end

return d1_values
