--- What people see at a terminal: colours, bars, and sizes and times in words.
--
-- Works under any Lua: only the interpreter `collegedb` can tell what a
-- terminal is (collegedb.host); elsewhere nothing is taken for one.

local terminal = {}

local has_host, host = pcall(require, "collegedb.host")

---@alias collegedb.Stream "stdin"|"stdout"|"stderr"

local CODES <const> = { bold = 1, dim = 2, red = 31, green = 32, yellow = 33, cyan = 36 }
local WIDTH <const> = 80 -- where nothing says it

local function setting(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- Is the stream shown to somebody?
---@param stream collegedb.Stream? "stdout" if nil
---@return boolean
function terminal.is_terminal(stream) return has_host and host.is_terminal(stream or "stdout") end

--- How many columns a line has.
---@param stream collegedb.Stream? "stdout" if nil
---@return integer # what the terminal says, else the environment's COLUMNS, else 80
function terminal.width(stream)
  local told = has_host and host.columns(stream or "stdout") or math.tointeger(tonumber(os.getenv "COLUMNS"))
  return told and told > 0 and told or WIDTH
end

--- Are colours wanted there? Only on a terminal that has them, and where NO_COLOR (https://no-color.org) is not set.
---@param stream collegedb.Stream? "stdout" if nil
---@return boolean
function terminal.has_colours(stream)
  return terminal.is_terminal(stream) and not setting "NO_COLOR" and os.getenv "TERM" ~= "dumb"
end

--- The text in a style; as it is where colours are not wanted.
---@param text string
---@param style "red"|"green"|"yellow"|"bold"|"dim"|"cyan"
---@param stream collegedb.Stream? where it will be written, "stdout" if nil
---@return string
function terminal.paint(text, style, stream)
  local code = assert(CODES[style], "there is no such style")
  return terminal.has_colours(stream) and ("\27[%dm%s\27[0m"):format(code, text) or text
end

--- Does the locale write UTF-8? As setlocale finds it out.
---@return boolean
function terminal.has_utf8()
  local locale = setting "LC_ALL" or setting "LC_CTYPE" or setting "LANG" or ""
  return locale:upper():find "UTF%-?8" ~= nil
end

local function escaped(character) return ("\\x%02x"):format(character:byte(-1)) end

--- What users and services say, as one line that a terminal shows and does not obey: control characters, and bytes that
--- are no UTF-8, are written as \x1b.
---@param value any
---@return string
function terminal.plain(value)
  local text = tostring(value):gsub("%s*[\r\n\t]+%s*", " ")
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", escaped) end
  return (text:gsub("%c", escaped):gsub("\xc2[\x80-\x9f]", escaped)) -- those of ISO 6429, too
end

--- A bar of which a share is full.
---@param share number 0 to 1; what is beyond counts as the nearest of them
---@param width integer in cells
---@return string
function terminal.bar(share, width)
  if share ~= share then share = 0 end
  local full = math.floor(math.max(0, math.min(1, share)) * width + 0.5)
  local cell, rest = "#", "."
  if terminal.has_utf8() then cell, rest = "█", "░" end
  return cell:rep(full) .. rest:rep(width - full)
end

--- The text, without what is beyond so many characters.
---@param text string
---@param width integer
---@return string
function terminal.cut(text, width)
  local length = utf8.len(text)
  if not length then return text:sub(1, width) end
  return length > width and text:sub(1, utf8.offset(text, width + 1) - 1) or text
end

--- A size in words: "17 B", "1.5 MiB".
---@param bytes number
---@return string
function terminal.size_text(bytes)
  for _, unit in ipairs { { 1 << 40, "TiB" }, { 1 << 30, "GiB" }, { 1 << 20, "MiB" }, { 1 << 10, "KiB" } } do
    if bytes >= unit[1] then return ("%.1f %s"):format(bytes / unit[1], unit[2]) end
  end
  return ("%.0f B"):format(bytes)
end

--- A number of things: "1 key", "2 keys".
---@param n integer
---@param one string
---@param many string? where that is not with an s
function terminal.count_text(n, one, many) return ("%d %s"):format(n, n == 1 and one or many or one .. "s") end

--- The text with its middle left out, where it is wider: "customers-…-west".
---@param text string
---@param width integer at least 3
---@return string
function terminal.shorten(text, width)
  local length = utf8.len(text)
  if (length or #text) <= width then return text end
  local mark = terminal.has_utf8() and "…" or "~"
  local head, tail = width // 2, width - width // 2 - 1
  if not length then return text:sub(1, head) .. mark .. text:sub(-tail) end
  return terminal.cut(text, head) .. mark .. text:sub(utf8.offset(text, -tail))
end

local function in_two(seconds, large, large_name, small, small_name)
  local whole = math.floor(seconds / small + 0.5)
  local count = large // small
  return ("%d %s %d %s"):format(whole // count, large_name, whole % count, small_name)
end

--- A time in words: "820 µs", "12 ms", "3.4 s", "2 min 10 s", "3 h 5 min", "2 d 4 h".
---@param seconds number
---@return string
function terminal.duration_text(seconds)
  if seconds < 0.0009995 then return ("%.0f µs"):format(seconds * 1e6) end
  if seconds < 0.00995 then return ("%.1f ms"):format(seconds * 1e3) end
  if seconds < 0.9995 then return ("%.0f ms"):format(seconds * 1e3) end
  if seconds < 9.95 then return ("%.1f s"):format(seconds) end
  if seconds < 59.5 then return ("%.0f s"):format(seconds) end
  if seconds < 3599.5 then return in_two(seconds, 60, "min", 1, "s") end
  if seconds < 86370 then return in_two(seconds, 3600, "h", 60, "min") end
  return in_two(seconds, 86400, "d", 3600, "h")
end

return terminal
