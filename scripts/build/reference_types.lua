-- A type of the annotations as text of a page: `string`, [Result](#result), array of [Row](#row).

local type_text = {}

---@param name string collegedb.Result
---@return string # Result; it is a heading of the page
function type_text.short(name)
  return (name:gsub("^collegedb%.", ""):gsub("^net%.(.+)$", "%1 (HTTP)"))
end

---The anchor that GitHub and others give a heading.
---@param heading string
---@return string
function type_text.anchor(heading)
  return (heading:lower():gsub("`", ""):gsub("[^%w_ %-]", ""):gsub(" ", "-"))
end

local write

local function write_named(list)
  local parts = {}
  for i, each in ipairs(list) do
    local name = math.type(each.name) and ("[%d]"):format(each.name) or each.name
    parts[i] = ("%s%s: %s"):format(name, each.optional and "?" or "", write(each.type))
  end
  return table.concat(parts, ", ")
end

local function write_all(list)
  local parts = {}
  for i, each in ipairs(list) do parts[i] = write(each) end
  return parts
end

local kinds = {}

function kinds.name(type)
  local args = write_all(type.args)
  if type.name == "table" and #args == 2 then return ("table from %s to %s"):format(args[1], args[2]) end
  if not type.name:find "^collegedb" then return type.name end
  local short = type_text.short(type.name)
  return ("[%s](#%s)"):format(short, type_text.anchor(short))
end

function kinds.literal(type)
  return type.value == true and "true" or type.value == false and "false" or ("`%s`"):format(
    math.type(type.value) and type.value or '"' .. type.value .. '"')
end

function kinds.array(type)
  local text = write(type.of)
  return "array of " .. (type.of.kind == "union" and "(" .. text .. ")" or text)
end

function kinds.union(type) return table.concat(write_all(type), " or ") end

function kinds.shape(type) return "{ " .. write_named(type.fields) .. " }" end

function kinds.fun(type)
  local returns = #type.returns > 0 and " that returns " .. table.concat(write_all(type.returns), ", ") or ""
  return ("function (%s)%s"):format(write_named(type.params), returns)
end

function write(type) return kinds[type.kind](type) end

type_text.write = write

return type_text
