--- Rows as aligned columns of text, for people at a terminal.

local text_table = {}

---What a cell shows: one line, whatever the value holds.
---@param value any
---@return string
local function cell_text(value)
  if value == nil then return "" end
  if math.type(value) == "float" then return ("%.14g"):format(value) end
  local text = tostring(value)
  if not utf8.len(text) or text:find("\0", 1, true) then
    return "x'" .. text:gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. "'"
  end
  local function escaped(c) return c == "\n" and "\\n" or c == "\t" and "\\t" or ("\\x%02x"):format(c:byte(-1)) end
  return (text:gsub("%c", escaped):gsub("\xc2[\x80-\x9f]", escaped)) -- those of ISO 6429, too
end

---The names of the columns of rows that do not say: every field, sorted.
local function names_of(rows)
  local names, seen = {}, {}
  for _, row in ipairs(rows) do
    for name in pairs(row) do
      if not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

---@param rows table[] rows by column name
---@param columns? string[] the columns in their order; every field, sorted, if absent
---@return string # lines, the first with the columns' names; numbers are aligned right
function text_table.format(rows, columns)
  columns = columns or names_of(rows)
  local lines, widths, numeric = { {} }, {}, {}
  for c, name in ipairs(columns) do
    lines[1][c] = cell_text(name)
    widths[c] = utf8.len(lines[1][c])
    numeric[c] = #rows > 0
  end
  for r, row in ipairs(rows) do
    local line = {}
    for c, name in ipairs(columns) do
      local value = row[name]
      line[c] = cell_text(value)
      widths[c] = math.max(widths[c], utf8.len(line[c]))
      if value ~= nil and type(value) ~= "number" then numeric[c] = false end
    end
    lines[r + 1] = line
  end
  for r, line in ipairs(lines) do
    for c, text in ipairs(line) do
      local space = (" "):rep(widths[c] - utf8.len(text))
      line[c] = numeric[c] and space .. text or text .. space
    end
    lines[r] = table.concat(line, "  "):gsub(" +$", "")
  end
  return table.concat(lines, "\n") .. "\n"
end

return text_table
