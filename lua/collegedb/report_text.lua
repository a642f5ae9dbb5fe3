--- Words and numbers as a report's page shows them. Whatever comes from users (names, keys, messages) goes through
-- report_text.user or report_text.escape.

local terminal = require "collegedb.terminal"

local report_text = {}

local LONGEST <const> = 300 -- characters of a user's text that are shown
local THIN <const> = "\u{202f}" -- a narrow space that does not break

local ENTITIES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- On one line, valid UTF-8, and without what a terminal or a browser would obey.
local function printable(text)
  if not utf8.len(text) then
    return "x'" .. text:sub(1, LONGEST):gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. "'"
  end
  if utf8.len(text) > LONGEST then text = text:sub(1, utf8.offset(text, LONGEST + 1) - 1) .. "…" end
  return (text:gsub("%c", function(c) return c == "\n" and " " or ("\\x%02x"):format(c:byte()) end))
end

--- Text for an element or an attribute.
---@param text any
---@return string
function report_text.escape(text) return (printable(tostring(text)):gsub("[&<>\"']", ENTITIES)) end

--- A user's text as an element, kept apart from the direction of what is around it.
---@param text any
---@param most integer? characters that are shown; the rest is in the element's title
---@return string
function report_text.user(text, most)
  text = printable(tostring(text))
  if most and utf8.len(text) > most then
    return ('<bdi title="%s">%s…</bdi>'):format(report_text.escape(text),
      report_text.escape(text:sub(1, utf8.offset(text, most) - 1)))
  end
  return "<bdi>" .. report_text.escape(text) .. "</bdi>"
end

--- 31204 → "31,204".
---@param n number
---@return string
function report_text.count(n)
  local text = ("%.0f"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^(-?),", "%1"))
end

--- 0.249 → "24.9 %"; what is there but hardly shows is not said to be nothing.
---@param share number? 0 to 1
---@return string # a dash for nil
function report_text.percent(share)
  if not share then return "–" end
  if share > 0 and share < 0.0005 then return "< 0.1" .. THIN .. "%" end
  if share < 1 and share > 0.9995 then return "> 99.9" .. THIN .. "%" end
  return (share == 0 and "0" or share == 1 and "100" or ("%.1f"):format(share * 100)) .. THIN .. "%"
end

--- The same of something that should be little: 0.0012 → "0.12 %".
---@param share number? 0 to 1
---@return string
function report_text.rate(share)
  if not share or share == 0 or share >= 0.01 then return report_text.percent(share) end
  return share < 0.00005 and "< 0.01" .. THIN .. "%" or ("%.2f"):format(share * 100) .. THIN .. "%"
end

--- 1.234 → "1.23", 1.0 → "1"
---@param n number
---@return string
function report_text.number(n) return (("%.2f"):format(n):gsub("%.?0+$", "")) end

-- "38 µs" must not be torn at the end of a line.
local function together(text) return (text:gsub(" ", "\u{a0}")) end

---@param bytes number?
---@return string
function report_text.size(bytes) return bytes and together(terminal.size_text(bytes)) or "–" end

---@param seconds number?
---@return string
function report_text.duration(seconds)
  if not seconds then return "–" end
  return together(seconds < 9.95e-6 and ("%.1f µs"):format(seconds * 1e6) or terminal.duration_text(seconds))
end

--- A moment for people, in UTC.
---@param seconds integer unix seconds
---@return string
function report_text.moment(seconds)
  local day = tonumber(os.date("!%d", seconds))
  return ("%d %s"):format(day, os.date("!%B %Y, %H:%M UTC", seconds))
end

--- A moment for programs.
---@param seconds integer unix seconds
---@return string
function report_text.iso(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds) --[[@as string]] end

--- "1 key", "31,204 keys".
---@param n number
---@param one string
---@param many string? "keys" of "key", if nil
---@return string
function report_text.plural(n, one, many)
  return report_text.count(n) .. " " .. (n == 1 and one or many or one .. "s")
end

--- The head of a table: its columns of words, then those of numbers.
---@param words string[]
---@param numbers string[]
---@return string
function report_text.heading(words, numbers)
  local cells = {}
  for _, name in ipairs(words) do cells[#cells + 1] = ('<th scope="col">%s</th>'):format(name) end
  for _, name in ipairs(numbers) do cells[#cells + 1] = ('<th scope="col" class="number">%s</th>'):format(name) end
  return "<thead><tr>" .. table.concat(cells) .. "</tr></thead>"
end

return report_text
