-- Writes docs/reference.md: all that is public, from the annotations in types/ and the headers in include/.
--
--   lua5.4 scripts/build/reference.lua >docs/reference.md          (make reference)

package.path = "./?.lua;" .. package.path

local annotations = require "spec.support.annotations"
local header = require "scripts.build.reference_c"
local type_text = require "scripts.build.reference_types"

-- The order of the page: a file of types/, its title, and how an object is called in a program.
local SECTIONS <const> = {
  { "types/collegedb.lua", "The module" },
  { "types/collegedb/database.lua", "A database" },
  { "types/collegedb/shard.lua", "A shard, and a transaction" },
  { "types/collegedb/values.lua", "Keys, parameters, rows and errors" },
  { "types/collegedb/config.lua", "The config" },
  { "types/collegedb/reports.lua", "Options and reports of long operations" },
  { "types/collegedb/mapper.lua", "The mapper" },
  { "types/collegedb/services.lua", "D1, the gateway and Workers KV" },
  { "types/collegedb/scripts.lua", "Scripts" },
  { "types/collegedb/net.lua", "HTTP" },
}
-- Written from database.lua, and said in one sentence.
local LEFT_OUT <const> = "types/collegedb/default.lua"

local OBJECTS <const> = {
  ["collegedb"] = "collegedb.", ["collegedb.Database"] = "db:", ["collegedb.Shard"] = "shard:",
  ["collegedb.Transaction"] = "tx:", ["collegedb.Mapper"] = "mapper:", ["collegedb.D1"] = "d1:",
  ["collegedb.Gateway"] = "gateway:", ["collegedb.CloudflareKV"] = "kv:", ["collegedb.net"] = "net.",
}

local HEAD <const> = [[
# Reference

Everything public, in Lua and in C. Written by `make reference` from the annotations in [types/](../types), by which
an editor with lua-language-server completes and checks your programs, and from the headers in
[include/](../include). The words are explained in [concepts](concepts.md), the fields of the config in
[config](config.md), and every error code in [errors](errors.md).

After `collegedb.initialize(config)` every method of a database is a function of the module too:
`collegedb.first(key, sql)` is then `db:first(key, sql)`.
]]

local page = {}

local function put(...)
  for i = 1, select("#", ...) do page[#page + 1] = (select(i, ...)) end
end

local anchors = {}

-- A heading, once on the page, so that a link to it is one place.
local function heading(level, text)
  local anchor = type_text.anchor(text)
  assert(not anchors[anchor], text .. " is a heading a second time")
  anchors[anchor] = true
  put("\n", ("#"):rep(level), " ", text, "\n\n")
end

-- Text of a comment: its lines lose the blank that stands before them.
local function write_text(lines)
  for _, line in ipairs(lines) do put((line:gsub("^ ", "")), "\n") end
end

local function paragraph(lines)
  local text = {}
  for i, line in ipairs(lines) do text[i] = line:gsub("^ ", "") end
  while text[#text] == "" do text[#text] = nil end
  if #text > 0 then write_text(text) end
  return #text > 0
end

local function behind(doc) return doc and doc ~= "" and "; " .. doc:gsub("^#%s*", "") or "" end

-- In an annotation the first word behind the type is the value's name, unless a # stands before it.
local function write_returns(returns)
  for i, each in ipairs(returns) do
    local name, rest = (each.doc or ""):match "^([%a_]+)%s*(.*)$"
    local text = type_text.write(each.type)
    put(i == 1 and "- returns " or "- then ", name and ("`%s`: "):format(name) or "", text)
    put(behind(rest or each.doc), "\n")
  end
end

local function signature(each)
  local names = {}
  for i, param in ipairs(each.params) do names[i] = param.name .. (param.optional and "?" or "") end
  local object = assert(OBJECTS[each.class], each.where .. ": how is a " .. each.class .. " called in a program?")
  return object .. each.name, table.concat(names, ", ")
end

local function write_function(each)
  local name, arguments = signature(each)
  heading(3, name)
  put(("`%s(%s)`\n\n"):format(name, arguments))
  assert(paragraph(each.doc), each.where .. ": says nothing")
  if #each.params + #each.returns > 0 then put "\n" end
  for _, param in ipairs(each.params) do
    put(("- `%s`%s: %s%s\n"):format(param.name, param.optional and " (may be left out)" or "",
      type_text.write(param.type), behind(param.doc)))
  end
  write_returns(each.returns)
end

local function write_class(class)
  if class.name == "collegedb.NoSuchField" then return end -- for editors
  heading(3, type_text.short(class.name))
  local says = paragraph(class.doc)
  if #class.fields == 0 then return end
  put(says and "\n" or "", "| field | is |\n| --- | --- |\n")
  for _, field in ipairs(class.fields) do
    local name = math.type(field.name) and ("[%d]"):format(field.name) or field.name
    local doc = behind(field.doc):gsub("|", "\\|")
    put(("| `%s`%s | %s%s |\n"):format(name, field.optional and "?" or "", type_text.write(field.type), doc))
  end
end

local function write_alias(alias)
  heading(3, type_text.short(alias.name))
  local says = paragraph(alias.doc)
  put(says and "\n" or "")
  local choices = false
  for _, each in ipairs(alias.type.kind == "union" and alias.type or {}) do choices = choices or each.doc end
  if not choices then put("Is: ", type_text.write(alias.type), "\n") end
  for _, each in ipairs(choices and alias.type or {}) do
    local text = type_text.write(each)
    if alias.name == "collegedb.ErrorCode" then text = ("[%s](errors.md#%s)"):format(text, each.value:lower()) end
    put("- ", text, each.doc and ": " .. each.doc or "", "\n")
  end
end

-- Classes and aliases in the order of the file; an object's own class before its methods.
local function write_types(file)
  local list = {}
  for _, each in ipairs(file.classes) do list[#list + 1] = { each, write_class } end
  for _, each in ipairs(file.aliases) do list[#list + 1] = { each, write_alias } end
  local function line(each) return tonumber(each[1].where:match ":(%d+)$") end
  table.sort(list, function(a, b) return line(a) < line(b) end)
  for _, each in ipairs(list) do each[2](each[1]) end
end

local function write_declaration(name, declaration, comment)
  heading(3, name)
  put("```c\n", declaration, "\n```\n\n", (comment:gsub("^%l", string.upper)), "\n")
end

local function write_c()
  heading(2, "C")
  put "[From C](c-api.md) says how a program is compiled, who owns what, and what threads may do.\n"
  for _, path in ipairs { "include/collegedb.h", "include/collegedb_lua.h" } do
    header.types(path, write_declaration)
    header.functions(path, write_declaration)
  end
end

-- --- the page ------------------------------------------------------------------------------------

local by_path = {}
for _, file in ipairs((annotations.read_all())) do
  local where = file.functions[1] or file.classes[1] or file.aliases[1]
  by_path[where.where:match "^(.*):%d+$"] = file
end
by_path[LEFT_OUT] = nil

put(HEAD)
put "\n| section | has |\n| --- | --- |\n"
for _, section in ipairs(SECTIONS) do
  local names = {}
  for _, each in ipairs(assert(by_path[section[1]], section[1] .. " is missing").functions) do
    local name = signature(each)
    names[#names + 1] = ("[%s](#%s)"):format(name, type_text.anchor(name))
  end
  local text = #names > 0 and table.concat(names, ", ") or "types"
  put(("| [%s](#%s) | %s |\n"):format(section[2], type_text.anchor(section[2]), text))
end
put "| [C](#c) | the functions of the headers |\n"

for _, section in ipairs(SECTIONS) do
  heading(2, section[2])
  local file = by_path[section[1]]
  for _, each in ipairs(file.functions) do write_function(each) end
  write_types(file)
  by_path[section[1]] = nil
end
assert(next(by_path) == nil, tostring(next(by_path)) .. " has no section here")
write_c()
io.write((table.concat(page):gsub("\n\n\n+", "\n\n")))
