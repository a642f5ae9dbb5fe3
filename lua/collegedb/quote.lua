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

local function tree(list, operator, first, last)
  if first == last then return list[first] end
  local middle = (first + last) // 2
  return ("(%s %s %s)"):format(tree(list, operator, first, middle), operator, tree(list, operator, middle + 1, last))
end

--- Conditions joined by AND or OR, as a balanced tree: SQLite takes expressions up to a depth of 1,000, and D1 of 100.
---@param conditions string[] SQL, at least one
---@param operator "AND"|"OR"
---@return string
function quote.joined(conditions, operator) return tree(conditions, operator, 1, #conditions) end

return quote
