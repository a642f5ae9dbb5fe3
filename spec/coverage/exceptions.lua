-- Which lines may stay without a test, and why: the lists in spec/coverage/*.list.
--
--     src/core/key.c
--       = memory runs out
--         return CDB_NOMEM;
--
-- A file, below it a reason, below that the lines by their text, so that edits elsewhere change nothing. A text that
-- is there twice stands for two lines. "~" instead of "=": it depends on the moment whether these run.

local exceptions = {}

---@class coverage.Exceptions
---@field must table<string, integer> how many lines of that text do not run
---@field may table<string, integer> and how many do or do not
---@field open integer how many more nobody has looked at

local function trim(line) return (line:gsub("^%s+", ""):gsub("%s+$", "")) end

exceptions.trim = trim

---@param path string
---@param files table<string, coverage.Exceptions> what it has is added here
function exceptions.read(path, files)
  local file, kind
  for line in io.lines(path) do
    local indent = #line:match "^ *"
    local text = trim(line)
    local is_remark = text == "" or line:find "^# "
    if indent == 0 and not is_remark then
      file, kind = { must = {}, may = {}, open = 0 }, nil
      assert(not files[text], path .. ": twice: " .. text)
      files[text] = file
    elseif text:find "^%? %d+$" then
      file.open = tonumber(text:match "%d+")
    elseif indent == 2 then
      kind = assert(({ ["="] = "must", ["~"] = "may" })[text:sub(1, 1)], path .. ": " .. line)
    elseif not is_remark then
      local texts = file[assert(kind, path .. ": a reason is missing: " .. line)]
      texts[text] = (texts[text] or 0) + 1
    end
  end
end

---@param measured table<string, coverage.File>
---@param allowed table<string, coverage.Exceptions>
---@return string[] wrong what is not listed, and what should not be
---@return table<string, integer> listed how many lines of each file are
---@return string[] notes numbers behind "?" that may be smaller
function exceptions.check(measured, allowed)
  local wrong, listed, notes = {}, {}, {}
  for path in pairs(allowed) do
    if not measured[path] then wrong[#wrong + 1] = path .. ": listed, and there is no such file" end
  end
  for path, file in pairs(measured) do
    local of = allowed[path] or { must = {}, may = {}, open = 0 }
    local missed, unlisted = {}, {}
    listed[path] = 0
    for _, number in ipairs(file.missed) do
      local text = trim(file.text[number])
      missed[text] = (missed[text] or 0) + 1
      if missed[text] > (of.must[text] or 0) + (of.may[text] or 0) then
        unlisted[#unlisted + 1] = ("%s:%d: never ran: %s"):format(path, number, text)
      else
        listed[path] = listed[path] + 1
      end
    end
    if #unlisted > of.open then table.move(unlisted, 1, #unlisted, #wrong + 1, wrong) end
    if #unlisted < of.open then notes[#notes + 1] = ("%s: ? %d can be ? %d"):format(path, of.open, #unlisted) end
    local there = {}
    for _, line in ipairs(file.text) do there[trim(line)] = true end
    for text in pairs(of.may) do
      if not there[text] then wrong[#wrong + 1] = ("%s: listed, but it is gone: %s"):format(path, text) end
    end
    for text, count in pairs(of.must) do
      if (missed[text] or 0) < count then
        wrong[#wrong + 1] = ("%s: listed, but it runs, or is gone: %s"):format(path, text)
      end
    end
  end
  table.sort(wrong)
  table.sort(notes)
  return wrong, listed, notes
end

return exceptions
