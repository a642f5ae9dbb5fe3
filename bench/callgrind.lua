--- Reads what callgrind counted: the instructions of each function, and those below each call that leaves a module.
-- The format: https://valgrind.org/docs/manual/cl-format.html

local callgrind = {}

-- "(12) name" defines a short form, "(12)" is one.
local function name_of(names, text)
  local id, name = text:match "^(%(%d+%)) ?(.*)$"
  if name ~= "" then names[id] = name end
  return names[id]
end

local function base(path) return path:match "[^/]*$" end

---@class bench.Profile
---@field name string the section's
---@field total integer
---@field own table<string, integer> module -> instructions of its own
---@field files table<string, integer> source file of the module that was asked for -> its instructions
---@field below table<string, integer> function of another module, called by that one -> instructions below the call
---@field entered integer instructions of the module and all that it calls

--- One dump, seen from the module (the name of a shared object).
---@return bench.Profile?
function callgrind.read(path, module)
  local file <close> = io.open(path)
  if not file then return nil end
  local objects, sources, functions = {}, {}, {}
  local self = { own = {}, files = {}, below = {}, entered = 0, total = 0 }
  local object, source, callee_object, callee, is_call
  local readers = {
    ob = function(text) object = base(name_of(objects, text)) end,
    fl = function(text) source = base(name_of(sources, text)) end,
    fn = function(text) name_of(functions, text) end,
    cob = function(text) callee_object = base(name_of(objects, text)) end,
    cfi = function(text) name_of(sources, text) end,
    cfn = function(text) callee = name_of(functions, text) end,
    calls = function() is_call = true end,
  }
  readers.fi, readers.fe, readers.cfl = readers.fl, readers.fl, readers.cfi
  local function add(list, key, cost) list[key] = (list[key] or 0) + cost end
  local function count(cost)
    if not is_call then
      self.total = self.total + cost
      add(self.own, object, cost)
      if object == module then add(self.files, source, cost) end
      return
    end
    local to = callee_object or object
    if object == module and to ~= module then add(self.below, callee, cost) end
    if object ~= module and to == module then self.entered = self.entered + cost end
    is_call, callee_object = false, nil
  end
  for line in file:lines() do
    local key, text = line:match "^(%l+)=(.*)$"
    if readers[key] then readers[key](text)
    elseif line:find "^[%d+*-]" then count(tonumber(line:match " (%d+)$")) end
    self.name = self.name or line:match "^desc: Trigger: Client Request: (%S+)"
  end
  return self
end

return callgrind
