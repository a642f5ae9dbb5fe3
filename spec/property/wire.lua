-- Plain data as Lua source, and through a pipe.

local wire = {}

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  return keys
end

-- Text in one line, and printable.
local function quoted(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("[\0-\31\127-\255]", function(c)
    return ("\\%03d"):format(c:byte())
  end))
end

---@return string # that `return` gives the same value after; tables in one order always
function wire.source(value)
  if type(value) == "string" then return quoted(value) end
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts, size = {}, #value
  for i = 1, size do parts[i] = wire.source(value[i]) end
  for _, key in ipairs(sorted_keys(value)) do
    if not (math.type(key) == "integer" and key >= 1 and key <= size) then
      local plain = type(key) == "string" and key:find "^[%a_][%w_]*$" and not load("local " .. key .. " = 1") == false
      parts[#parts + 1] = (plain and key or "[" .. wire.source(key) .. "]") .. " = " .. wire.source(value[key])
    end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

function wire.value(source) return assert(load("return " .. source, "=data", "t", {}))() end

function wire.copy(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, each in pairs(value) do copy[key] = wire.copy(each) end
  return copy
end

---Equal, with integers and floats told apart.
function wire.equal(a, b) return wire.source(a) == wire.source(b) end

function wire.send(file, value)
  file:write(wire.source(value), "\n")
  file:flush()
end

---@return any? value nil: the other side is gone
function wire.receive(file)
  local line = file:read "L"
  if not line or line:sub(-1) ~= "\n" then return nil end
  local done, value = pcall(wire.value, line)
  return done and value or { broken = line }
end

return wire
