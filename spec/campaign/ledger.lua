-- What writers have sent and what was acknowledged: a file for each, a line a write(2). A killed process leaves a line
-- that was sent and has no answer: such a write may be there or not.
--
--     s NUMBER CHANGE…    about to be sent; a change is table:row=value, table:row- (deleted) or table:row+1
--     a NUMBER            acknowledged
--     f NUMBER            refused: nothing of it may be there
--     u NUMBER            failed in a way that leaves it open
--     i 0 CHANGE…         was found by a check of the files, with all that was written before

local ledger = {}

local Book = {}
Book.__index = Book

---@param path string
function ledger.open(path)
  local file = assert(io.open(path, "a"))
  file:setvbuf "line"
  return setmetatable({ file = file, number = 0 }, Book)
end

---Runs `f`, which is to make the changes; returns what pcall does.
---@param changes string[]
---@param f function
---@param open boolean? a failure leaves it open whether it was done
function Book:write(changes, f, open)
  self.number = self.number + 1
  self.file:write("s ", self.number, " ", table.concat(changes, " "), "\n")
  local done, err = pcall(f)
  self.file:write(done and "a " or open and "u " or "f ", self.number, "\n")
  return done, err
end

---Writes a ledger of rows that were found, to begin with instead of those that led to them.
---@param found table<string, { value: string }> by "table:row"
---@param counts fun(name: string): boolean whether the row is one that is added to
function ledger.begin_anew(path, found, counts)
  local file <close> = assert(io.open(path, "w"))
  for name, there in pairs(found) do
    assert(file:write("i 0 ", name, counts(name) and "+" or "=", there.value, "\n"))
  end
end

-- --- reading ---------------------------------------------------------------------------

local function row_of(known, name)
  known.rows[name] = known.rows[name] or { possible = { ["-"] = true }, writes = 0, low = 0, high = 0 }
  return known.rows[name]
end

-- Settles one write: `sure` when it was acknowledged.
local function settle(known, changes, sure)
  local open = not sure and { before = {}, after = {}, writes = {} }
  for change in changes:gmatch "%S+" do
    local name, sign, value = change:match "^([^=+-]+)([=+-])(.*)$"
    local row = row_of(known, name)
    row.writes = row.writes + 1
    if sign == "+" then
      row.counts, row.sure = true, row.sure or sure
      row.low, row.high = row.low + (sure and tonumber(value) or 0), row.high + tonumber(value)
    else
      local after = sign == "-" and "-" or value
      if open and next(row.possible, next(row.possible)) == nil then open.before[name] = next(row.possible) end
      if open then open.after[name], open.writes[name] = after, row.writes end
      if sure then row.possible = {} end
      row.possible[after] = true
    end
  end
  if open then table.insert(known.open, open) end
end

---What the files say: rows by "table:row", and the writes that are open.
---@param paths string[]
---@return { rows: table<string, table>, open: table[], acknowledged: integer, sent: integer }
function ledger.read(paths)
  local known = { rows = {}, open = {}, acknowledged = 0, sent = 0 }
  for _, path in ipairs(paths) do
    local pending
    for line in io.lines(path) do
      local kind, number, rest = line:match "^(%a) (%d+) ?(.*)$"
      if kind == "s" then
        if pending then settle(known, pending, false) end
        pending, known.sent = rest, known.sent + 1
      elseif kind == "i" then
        settle(known, rest, true)
      else
        assert(pending, path .. ": " .. number .. " was answered and not sent")
        if kind ~= "f" then settle(known, pending, kind == "a") end
        if kind == "a" then known.acknowledged = known.acknowledged + 1 end
        pending = nil
      end
    end
    if pending then settle(known, pending, false) end
  end
  return known
end

return ledger
