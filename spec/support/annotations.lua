-- Reads the LuaCATS annotations of types/, as far as these use them. A mistake in their syntax is raised with file and
-- line.

local annotations = {}

-- --- types ------------------------------------------------------------------------------------

-- A type is { kind, … }: name { name, args }, literal { value }, array { of }, union { … }, fun { params, returns },
-- shape { fields }, optional as a union with nil.

local Reader = {}
Reader.__index = Reader

function Reader:take(pattern)
  local found, after = self.text:match("^" .. pattern .. "()", self.at)
  after = after or found -- a pattern without a capture
  if not after then return nil end
  self.at = after
  return found
end

function Reader:need(pattern, what)
  return self:take(pattern) or error(("%s: %s was expected at %q"):format(self.where, what, self.text:sub(self.at)), 0)
end

function Reader:finish()
  assert(self.at > #self.text, ("%s: %q is too much"):format(self.where, self.text:sub(self.at)))
end

local read_type

local function read_list(reader, finish, read_one)
  local list = {}
  reader:take "%s*"
  if reader:take(finish) then return list end
  repeat
    reader:take "%s*"
    list[#list + 1] = read_one(reader)
    reader:take "%s*"
  until not reader:take ",%s*"
  reader:need(finish, "the end of a list")
  return list
end

-- name: type, of functions and shapes; [1]: type.
local function read_named(reader)
  local name = reader:take "(%.%.%.)" or reader:take "%[(%d+)%]" or reader:need("([%a_][%w_]*)", "a name")
  local optional = reader:take "%?" ~= nil
  local of = reader:take ":%s*" and read_type(reader) or { kind = "name", name = "any", args = {} }
  return { name = math.tointeger(name) or name, type = of, optional = optional }
end

local function read_function(reader)
  local params, returns = read_list(reader, "%)", read_named), {}
  if reader:take ":%s*" then
    repeat returns[#returns + 1] = read_type(reader) until not reader:take ",%s*"
  end
  return { kind = "fun", params = params, returns = returns }
end

local function read_primary(reader)
  local literal = reader:take '"([^"]*)"'
  if literal then return { kind = "literal", value = literal } end
  local number = reader:take "(%d+)"
  if number then return { kind = "literal", value = math.tointeger(number) } end
  if reader:take "fun%(" then return read_function(reader) end
  if reader:take "{" then return { kind = "shape", fields = read_list(reader, "}", read_named) } end
  if reader:take "%(" then
    local inner = read_type(reader)
    reader:need("%)", ")")
    return inner
  end
  local name = reader:need("([%a_][%w_.]*)", "a type")
  if name == "true" or name == "false" then return { kind = "literal", value = name == "true" } end
  return { kind = "name", name = name, args = reader:take "<" and read_list(reader, ">", read_type) or {} }
end

function read_type(reader)
  local list = {}
  repeat
    local one = read_primary(reader)
    while true do
      if reader:take "%[%]" then one = { kind = "array", of = one }
      elseif reader:take "%?" then one = { kind = "union", one, { kind = "name", name = "nil", args = {} } }
      else break end
    end
    list[#list + 1] = one
  until not reader:take "|"
  if #list == 1 then return list[1] end
  list.kind = "union"
  return list
end

local function new_reader(text, where) return setmetatable({ text = text, at = 1, where = where }, Reader) end

-- --- tags -----------------------------------------------------------------------------------------

-- Each takes (file, reader, line): what is behind the tag.
local tags = {}

function tags.meta(file, reader)
  file.meta = reader:need("([%w_.]+)", "the module's name")
  reader:finish()
end

function tags.class(file, reader)
  local class = { name = reader:need("([%w_.]+)", "a name"), fields = {}, where = reader.where, doc = file.doc,
    parent = reader:take "%s*:%s*" and reader:need("([%w_.]+)", "a class") or nil }
  reader:finish()
  file.class, file.classes[#file.classes + 1] = class, class
end

function tags.field(file, reader)
  local private = reader:take "private%s+" ~= nil
  local field = { name = reader:take "%[(%d+)%]" or reader:take "%[string%]()" and "[string]"
    or reader:need("([%a_][%w_]*)", "a field's name"), optional = reader:take "%?" ~= nil, where = reader.where }
  field.name = math.tointeger(field.name) or field.name
  reader:need("%s+", "a blank")
  field.type, field.doc = read_type(reader), reader:take "%s*(.*)"
  assert(file.class, reader.where .. ": a field without a class")
  if private or field.type.name == "collegedb.NoSuchField" then return end -- for the editor only
  file.class.fields[#file.class.fields + 1] = field
end

function tags.alias(file, reader)
  local alias = { name = reader:need("([%w_.]+)", "a name"), where = reader.where, doc = file.doc }
  if reader:take "%s+" then alias.type = read_type(reader) else alias.type = { kind = "union" } end
  file.alias, file.aliases[#file.aliases + 1] = alias, alias
end

function tags.generic(file, reader)
  file.generics[reader:need("([%a_][%w_]*)", "a name")] = true
  reader:finish()
end

function tags.param(file, reader)
  local param = { name = reader:need("([%a_][%w_]*)", "a name"), optional = reader:take "%?" ~= nil }
  reader:need("%s+", "a blank")
  param.type, param.doc = read_type(reader), reader:take "%s*(.*)"
  file.params[#file.params + 1] = param
end

tags["return"] = function(file, reader)
  file.returns[#file.returns + 1] = { type = read_type(reader), doc = reader:take "%s*(.*)" }
end

-- --- files ------------------------------------------------------------------------------------------

local function forget(file) file.params, file.returns, file.generics, file.doc = {}, {}, {}, {} end

local function add_function(file, line, where)
  local object, sign, name, arguments = line:match "^function ([%w_]+)([.:])([%w_]+)%((.*)%) end$"
  if not object then return end
  local class = assert(file.objects[object], where .. ": of which class is " .. object .. "?")
  local names = {}
  for each in arguments:gmatch "[%w_]+" do names[#names + 1] = each end
  file.functions[#file.functions + 1] = { class = class, name = name, method = sign == ":", arguments = names,
    params = file.params, returns = file.returns, generics = file.generics, doc = file.doc, where = where }
end

local function read_line(file, line, where)
  local tag, rest = line:match "^%-%-%-@(%S+)%s*(.*)$"
  local choice = line:match "^%-%-%-|%s*(.*)$"
  if tag then
    assert(tags[tag], ("%s: the tag @%s is not known here"):format(where, tag))(file, new_reader(rest, where))
    if tag == "class" or tag == "alias" then file.doc = {} end
  elseif choice then
    assert(file.alias, where .. ": a choice without an alias")
    local reader = new_reader(choice, where)
    local literal = read_primary(reader)
    literal.doc = reader:take "%s*#%s*(.*)"
    table.insert(file.alias.type, literal)
  elseif line:find "^%-%-%-" then
    file.doc[#file.doc + 1] = line:sub(4)
  else
    local object = line:match "^local ([%w_]+) = {}$"
    if object and file.class then file.objects[object] = file.class.name end
    add_function(file, line, where)
    forget(file)
    file.class, file.alias = nil, nil
  end
end

---@param path string
---@return table file meta, classes, aliases, functions
function annotations.read(path)
  local file, number = { classes = {}, aliases = {}, functions = {}, objects = {} }, 0
  forget(file)
  for line in io.lines(path) do
    number = number + 1
    read_line(file, line, ("%s:%d"):format(path, number))
  end
  return file
end

---All files of types/.
---@return table[] files, table<string, table> types classes and aliases by name
function annotations.read_all()
  local files, types = {}, {}
  local pipe <close> = assert(io.popen "find types -name '*.lua' | LC_ALL=C sort")
  for path in pipe:lines() do
    local file = annotations.read(path)
    files[#files + 1] = file
    for _, list in ipairs { file.classes, file.aliases } do
      for _, each in ipairs(list) do
        local known = types[each.name]
        assert(not known or (#each.fields == 0), each.where .. ": " .. each.name .. " a second time")
        types[each.name] = known or each
      end
    end
  end
  return files, types
end

---Calls `f` with each name in a type.
function annotations.each_name(type, f)
  if type.kind == "name" then
    f(type.name)
    for _, each in ipairs(type.args) do annotations.each_name(each, f) end
  elseif type.kind == "array" then
    annotations.each_name(type.of, f)
  elseif type.kind == "union" then
    for _, each in ipairs(type) do annotations.each_name(each, f) end
  elseif type.kind == "shape" then
    for _, each in ipairs(type.fields) do annotations.each_name(each.type, f) end
  elseif type.kind == "fun" then
    for _, each in ipairs(type.params) do annotations.each_name(each.type, f) end
    for _, each in ipairs(type.returns) do annotations.each_name(each, f) end
  end
end

return annotations
