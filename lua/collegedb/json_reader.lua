--- Reads the JSON that lua/collegedb/json.lua writes: integers come back as integers, with all 64 bits.

local json_reader = {}

-- A backslash becomes the other escape of one, so that those of the form \u come last; \u itself stays.
local escapes <const> = {
  b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["/"] = "/", ["\\"] = "\\u005c",
}

local function fail(at, what) error(("JSON at byte %d: %s"):format(at, what), 0) end

local function skip(text, at) return text:find("[^ \t\r\n]", at) or #text + 1 end

-- A character beyond U+FFFF, written as two.
local function pair(high, low)
  return utf8.char(0x10000 + ((tonumber(high, 16) & 0x3ff) << 10 | tonumber(low, 16) & 0x3ff))
end

local function read_string(text, at)
  local stop = at
  repeat
    stop = text:find('["\\]', stop + 1) or fail(at, "a string without end")
    local escaped = text:byte(stop) == 92
    if escaped then stop = stop + 1 end
  until not escaped
  local inner = text:sub(at + 1, stop - 1)
  if not inner:find("\\", 1, true) then return inner, stop + 1 end
  inner = inner:gsub("\\(.)", escapes):gsub("\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", pair)
  return (inner:gsub("\\u(%x%x%x%x)", function(hex) return utf8.char(tonumber(hex, 16)) end)), stop + 1
end

local function read_number(text, at)
  local digits = text:match("^%-?[%d.eE+-]+", at)
  local value = digits and tonumber(digits)
  if not value then fail(at, "a value was expected") end
  return value, at + #digits
end

local read_value

local function read_array(text, at)
  local list = {}
  at = skip(text, at + 1)
  while text:sub(at, at) ~= "]" do
    list[#list + 1], at = read_value(text, at)
    at = skip(text, at)
    if text:sub(at, at) == "," then at = skip(text, at + 1) end
  end
  return list, at + 1
end

local function read_object(text, at)
  local object = {}
  at = skip(text, at + 1)
  while text:sub(at, at) ~= "}" do
    if text:sub(at, at) ~= '"' then fail(at, "a name was expected") end
    local name, value
    name, at = read_string(text, at)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then fail(at, "':' was expected") end
    value, at = read_value(text, skip(text, at + 1))
    object[name] = value
    at = skip(text, at)
    if text:sub(at, at) == "," then at = skip(text, at + 1) end
  end
  local hex = object["$blob"]
  if type(hex) == "string" then
    return (hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)), at + 1
  end
  return object, at + 1
end

local words <const> = { t = { "true", true }, f = { "false", false }, n = { "null", nil } }

function read_value(text, at)
  local first = text:sub(at, at)
  if first == '"' then return read_string(text, at) end
  if first == "{" then return read_object(text, at) end
  if first == "[" then return read_array(text, at) end
  local word = words[first]
  if not word then return read_number(text, at) end
  if text:sub(at, at + #word[1] - 1) ~= word[1] then fail(at, "a value was expected") end
  return word[2], at + #word[1]
end

---@param text string
---@return any
---Raises a string that says where it is no JSON.
function json_reader.decode(text)
  local value, at = read_value(text, skip(text, 1))
  if skip(text, at) <= #text then fail(at, "more than one value") end
  return value
end

return json_reader
