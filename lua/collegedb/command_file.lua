--- What can be said of a user's command without running its file, because a
-- plain script would do its work: `collegedb help` must change nothing.

local core = require "collegedb.core"

local command_file = {}

-- The end of the string literal that begins at `start`, or nil.
local function literal_end(text, start)
  local level = text:match("^%[(=*)%[", start)
  if level then return select(2, text:find("]" .. level .. "]", start, true)) end
  local quote, at = text:match("^[\"']", start), start + 1
  while quote and at <= #text do
    local char = text:sub(at, at)
    if char == quote then return at end
    if char == "\n" then return nil end
    at = at + (char == "\\" and 2 or 1)
  end
end

-- The string behind the first `summary =` that is followed by one.
local function summary_of(text)
  for line_start, start in text:gmatch "\n()[^\n]-%f[%w_]summary%s*=%s*()" do
    local comment = text:sub(line_start, start):find("--", 1, true)
    local finish = not comment and literal_end(text, start)
    local value = finish and load("return " .. text:sub(start, finish), "=summary", "t", {})
    if value then return (value():gsub("%s+", " ")) end
  end
end

-- The comment that the file begins with, its first line.
local function comment_of(text)
  return text:gsub("^\n#[^\n]*", ""):match "^%s*%-%-+ *([^%s%[][^\n]*)" or ""
end

local function defines_run(text)
  return text:find "%f[%w_]run%s*=[^=]" or text:find "%f[%w_]function%s+[%w_%.:]-[%.:]run%s*%("
end

---@class collegedb.CommandFile
---@field summary string what the file says of itself, its first line of comment, or ""
---@field plain boolean a script that does its work when it is loaded
---@field problem? string why it can not be loaded

---@param path string
---@return collegedb.CommandFile
function command_file.look(path)
  if not core.file_stamp(path) then return { summary = "", plain = false, problem = path .. " is no file" } end
  local chunk, problem = loadfile(path, "t")
  if not chunk then return { summary = "", plain = false, problem = problem } end
  local file <close> = assert(io.open(path, "r"))
  local text = "\n" .. file:read "a"
  return { summary = summary_of(text) or comment_of(text), plain = not defines_run(text) }
end

return command_file
