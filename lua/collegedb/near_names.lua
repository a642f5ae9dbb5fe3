--- Which of some names was probably meant.

local near_names = {}

-- How many letters are to be put in, taken out, exchanged or swapped to make b of a (optimal string alignment).
local function distance(a, b)
  local rows = {}
  for i = 0, #a do rows[i] = { [0] = i } end
  for j = 0, #b do rows[0][j] = j end
  for i = 1, #a do
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (same and 0 or 1))
      local swapped = i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j)
      rows[i][j] = swapped and math.min(best, rows[i - 2][j - 2] + 1) or best
    end
  end
  return rows[#a][#b]
end

--- The name that was probably meant; nil if none is near.
---@param name string
---@param names string[]
---@return string?
function near_names.closest(name, names)
  local best, near = nil, math.min(3, (#name + 3) // 3)
  for _, each in ipairs(#name < 50 and names or {}) do
    local far = distance(name, each)
    if far < near then best, near = each, far end
  end
  return best
end

return near_names
