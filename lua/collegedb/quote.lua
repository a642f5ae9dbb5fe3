--- The one place where names become SQL. Values are always bound.

local quote = {}

--- An identifier in double quotes.
---@param name string
---@return string
function quote.name(name) return '"' .. name:gsub('"', '""') .. '"' end

--- A text as SQL, where nothing can be bound: in a trigger.
---@param text string
---@return string
function quote.literal(text) return "'" .. text:gsub("'", "''") .. "'" end

--- Names compare as SQLite compares them: ASCII letters without case.
---@param name string
---@return string
function quote.fold(name)
  return (name:gsub("%u", function(letter) return letter:byte() < 128 and letter:lower() or letter end))
end

return quote
