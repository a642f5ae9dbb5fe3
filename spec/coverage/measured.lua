-- What a coverage build has counted: for each source file its lines of code, and those that never ran.

local measured = {}

---@class coverage.File
---@field lines integer how many lines have code
---@field missed integer[] the numbers of those that never ran, in order
---@field text string[] the file's lines

local function output(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

local function lines_of(path)
  local text = {}
  for line in io.lines(path) do text[#text + 1] = line end
  return text
end

-- An end, an else or a closing bracket alone is not worth a line: Lua gives some of them code that can not be reached.
local function is_bare(line)
  local rest = line:gsub("%-%-.*", ""):gsub("[%s%(%){}%[%],;]", "")
  return rest == "" or rest == "end" or rest == "else" or rest == "endend"
end

---@param counted table<string, table<integer, boolean>> by file and line: has it run?
local function summary(counted)
  local files = {}
  for path, ran in pairs(counted) do
    local file = { lines = 0, missed = {}, text = lines_of(path) }
    for number in pairs(ran) do
      file.lines = file.lines + 1
      if not ran[number] then file.missed[#file.missed + 1] = number end
    end
    table.sort(file.missed)
    files[path] = file
  end
  return files
end

---Counts of gcov: an object that never ran has notes (.gcno) only. A header is in several objects.
local function count_c(build, counted)
  local list = output(("find %s/obj/src -name '*.gcno' | LC_ALL=C sort | tr '\n' ' '"):format(build))
  local path
  for line in output("gcov -t " .. list .. " 2>/dev/null"):gmatch "[^\n]+" do
    local count, number, text = line:match "^%s*([^:]+):%s*(%d+):(.*)$"
    if number == "0" then
      path = text:match "^Source:(.*)" or path
    elseif count and path:find "^src/" and count ~= "-" then
      local ran = counted[path] or {}
      counted[path] = ran
      local at = tonumber(number)
      ran[at] = ran[at] or not count:find "^[#=]"
    end
  end
end

local function count_lua(build, counted)
  local list = output "find lua/collegedb scripts -name '*.lua' -not -path 'scripts/build/*'"
  for path in list:gmatch "[^\n]+" do
    local file = io.open(("%s/lines/%s"):format(build, (path:gsub("/", "%%"))), "rb")
    local hits = file and file:read "a" or ""
    if file then file:close() end
    local ran, text = {}, lines_of(path)
    for number, code in output("luac5.4 -l -p " .. path):gmatch "\n\t%d+\t%[(%d+)%]\t(%u+)" do
      local at = tonumber(number)
      -- A function with `...` begins with an instruction that no hook sees.
      if code ~= "VARARGPREP" and not is_bare(text[at] or "") then ran[at] = hits:byte(at + 1) == 1 end
    end
    counted[path] = ran
  end
end

---@param build string the build folder
---@return table<string, coverage.File>
function measured.read(build)
  local counted = {}
  count_c(build, counted)
  count_lua(build, counted)
  return summary(counted)
end

return measured
