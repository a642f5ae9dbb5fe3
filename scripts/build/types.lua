-- Writes types/collegedb/default.lua: the methods of a database as functions of the module, from
-- types/collegedb/database.lua.
--
--   lua5.4 scripts/build/types.lua types/collegedb/database.lua >types/collegedb/default.lua

local HEAD <const> = [[
---@meta _

-- The methods of the database that collegedb.initialize has opened, as functions of the module. Written by
-- scripts/build/types.lua from database.lua: change that, and run `make types`.

---@class collegedb
local collegedb = {}
]]

local DOC <const> = "\n---As `db:%s`, of the database that `collegedb.initialize` has opened; before that, `USAGE`.\n"

local function write_function(name, arguments, annotations)
  io.write(DOC:format(name))
  for _, line in ipairs(annotations) do io.write(line, "\n") end
  io.write(("function collegedb.%s(%s) end\n"):format(name, arguments))
end

io.write(HEAD)
local annotations = {}
for line in io.lines(arg[1]) do
  local name, arguments = line:match "^function Database:([%w_]+)%((.*)%) end$"
  if name then write_function(name, arguments, annotations) end
  if not line:find "^%-%-%-" then annotations = {} end
  if line:find "^%-%-%-@" then annotations[#annotations + 1] = line end
end
