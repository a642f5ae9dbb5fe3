-- Is a value what the annotations of types/ say?

local shapes = {}

local PLAIN <const> = {
  string = "string", number = "number", boolean = "boolean", table = "table", ["function"] = "function",
  userdata = "userdata", ["nil"] = "nil", lightuserdata = "userdata",
}

local check

local function check_fields(value, fields, types, where)
  local known = {}
  for _, field in ipairs(fields) do
    known[field.name] = true
    local absent = value[field.name] == nil
    if not (absent and field.optional) then
      local odd = check(value[field.name], field.type, types, ("%s.%s"):format(where, field.name))
      if odd then return odd end
    end
  end
  for name in next, value do
    if not known[name] and not known["[string]"] then return ("%s.%s is not told of"):format(where, tostring(name)) end
  end
end

local function check_class(value, class, types, where)
  if #class.fields == 0 then return nil end -- opaque
  if type(value) ~= "table" then return ("%s is a %s, not a %s"):format(where, type(value), class.name) end
  return check_fields(value, class.fields, types, where)
end

local function check_map(value, args, types, where)
  if type(value) ~= "table" then return ("%s is a %s, not a table"):format(where, type(value)) end
  for key, each in pairs(value) do
    local inner = ("%s[%s]"):format(where, tostring(key))
    local odd = check(key, args[1], types, inner) or check(each, args[2], types, inner)
    if odd then return odd end
  end
end

local function check_name(value, kind, types, where)
  local name = kind.name
  if name == "any" then return nil end
  if name == "table" and #kind.args == 2 then return check_map(value, kind.args, types, where) end
  if name == "integer" then return math.type(value) ~= "integer" and ("%s is no integer"):format(where) or nil end
  if PLAIN[name] then
    return type(value) ~= PLAIN[name] and ("%s is a %s, not a %s"):format(where, type(value), name) or nil
  end
  local known = assert(types[name], "there is no type " .. name)
  if known.type then return check(value, known.type, types, where) end
  return check_class(value, known, types, where)
end

local checks = { name = check_name }

function checks.literal(value, kind, _, where)
  return value ~= kind.value and ("%s is %s, not %s"):format(where, tostring(value), tostring(kind.value)) or nil
end

function checks.array(value, kind, types, where)
  if type(value) ~= "table" then return ("%s is a %s, not an array"):format(where, type(value)) end
  for i, each in pairs(value) do
    if math.type(i) ~= "integer" then return ("%s is no array: it has %s"):format(where, tostring(i)) end
    local odd = check(each, kind.of, types, ("%s[%d]"):format(where, i))
    if odd then return odd end
  end
end

function checks.union(value, kind, types, where)
  local first
  for _, each in ipairs(kind) do
    local odd = check(value, each, types, where)
    if not odd then return nil end
    first = first or odd
  end
  return first
end

function checks.shape(value, kind, types, where)
  if type(value) ~= "table" then return ("%s is a %s, not a table"):format(where, type(value)) end
  return check_fields(value, kind.fields, types, where)
end

function checks.fun(value, _, _, where)
  return type(value) ~= "function" and ("%s is a %s, not a function"):format(where, type(value)) or nil
end

function check(value, kind, types, where) return checks[kind.kind](value, kind, types, where) end

---What is wrong with a value, or nil.
---@param value any
---@param kind table of spec.support.annotations
---@param types table<string, table> by name
---@return string?
function shapes.check(value, kind, types) return check(value, kind, types, "it") end

return shapes
