--- Reads spec/fuzz/statements.sql.

local statements = {}

local function unescape(text)
  return (text:gsub("\\n", "\n"):gsub("\\t", "\t"):gsub("\\u(%x%x%x%x)", function(hex)
    return utf8.char(tonumber(hex, 16))
  end))
end

---@param path string
---@return { line: integer, expected: string, sql: string }[]
function statements.read(path)
  local list, number = {}, 0
  for line in io.lines(path) do
    number = number + 1
    local expected, sql = line:match "^([^#|][^|]*)|(.*)$"
    if sql then list[#list + 1] = { line = number, expected = expected, sql = unescape(sql) } end
  end
  return list
end

return statements
