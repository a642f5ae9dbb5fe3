--- JSON for output, where 64-bit integers must come out as they are (lua-cjson makes floats of them).
--
-- How values are written: integers in full; floats in the shortest form that reads back the same, infinities and
-- NaN as null; strings as they are if they are UTF-8, else as {"$blob":"<hex>"}, and names as "$blob:<hex>"; a table
-- with the keys 1…n as an array (an empty one too, unless json.object made it), any other with its keys as strings,
-- sorted; a value with __tostring, such as a key, as that string.

local json = {}

local depth_limit <const> = 100

---Written as null; also where a field must be present.
json.null = setmetatable({}, { __name = "json.null", __tostring = function() return "null" end })

local object_meta = { __name = "json.object" }

---Marks a table as an object, for one that may be empty.
---@generic T: table
---@param t T
---@return T
function json.object(t)
  return setmetatable(t, object_meta)
end

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape(c)
  return escapes[c] or ("\\u%04x"):format(c:byte())
end

local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local function encode_text(s) return '"' .. s:gsub('[%c"\\]', escape) .. '"' end

local function encode_string(s) return utf8.len(s) and encode_text(s) or '{"$blob":"' .. hex(s) .. '"}' end

local function encode_name(s) return encode_text(utf8.len(s) and s or "$blob:" .. hex(s)) end

local function encode_number(n)
  if math.type(n) == "integer" then return ("%d"):format(n) end
  if n ~= n or n == math.huge or n == -math.huge then return "null" end
  local text
  for digits = 15, 17 do
    text = ("%." .. digits .. "g"):format(n)
    if tonumber(text) == n then break end
  end
  -- A float stays one for readers that tell 1 from 1.0.
  return text:find "[.e]" and text or text .. ".0"
end

local encode_value

local function encode_array(t, depth)
  local parts = {}
  for i, value in ipairs(t) do parts[i] = encode_value(value, depth) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_object(t, depth)
  local names, values = {}, {}
  for key, value in pairs(t) do
    local name = tostring(key)
    if values[name] ~= nil then error(("two keys of a table are written as %q"):format(name), 0) end
    names[#names + 1] = name
    values[name] = value
  end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = encode_name(name) .. ":" .. encode_value(values[name], depth) end
  return "{" .. table.concat(names, ",") .. "}"
end

local function is_array(t)
  if getmetatable(t) == object_meta then return false end
  local count = 0
  for _ in pairs(t) do
    count = count + 1
    if t[count] == nil then return false end
  end
  return true
end

local function encode_table(t, depth)
  if depth >= depth_limit then error("a table is nested too deep to be written as JSON", 0) end
  return (is_array(t) and encode_array or encode_object)(t, depth + 1)
end

function encode_value(value, depth)
  local kind = type(value)
  if kind == "nil" then return "null" end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" then return encode_number(value) end
  if kind == "string" then return encode_string(value) end
  local meta = debug.getmetatable(value)
  if value == json.null then return "null" end
  if meta and meta.__tostring then return encode_string(tostring(value)) end
  if kind == "table" then return encode_table(value, depth) end
  error(("a %s can not be written as JSON"):format(kind), 0)
end

---One line of JSON.
---@param value any nil, boolean, number, string, a table of these, or a value with __tostring
---@return string
---Raises a string for other types, cycles, and keys that would be written alike (1 and "1").
function json.encode(value)
  return encode_value(value, 0)
end

return json
