-- The pages of the documentation, and what stands on them. A code block says in its first line what it is:
--
--   ```lua run          a program; it runs, in the order of the page, under our interpreter
--   ```lua file=NAME    is written to NAME; a script that is run if it uses collegedb
--   ```lua              a program or a part of a config; it is compiled
--   ```lua gateway      a program that runs with the gateway Worker on Cloudflare's engine
--   ```sh run           lines for the shell, which keeps its folder and variables for the next such block of the page
--   ```c file=NAME      is written to NAME, and compiled
--   ```c                statements in a function that has `db`, `key`, `rows` and `err`; compiled too
--   ```json, jsonc      parsed; jsonc also as the fields of an object
--   ```sql              run in a database in memory, in the order of the page
--   ```text output      what the block before it prints; … stands for anything
--
-- `--> text` behind a statement is the whole of a line that it prints, with … for anything.
--   ```LANGUAGE not run: REASON     anything else: pictures, and what takes an account at Cloudflare

local process = require "spec.support.process"

local pages = {}

---@class spec.Block
---@field info string the whole first line
---@field language string its first word
---@field how string what stands behind it
---@field reason string? why it is not run
---@field text string
---@field page string
---@field line integer

local function lines_of(command)
  local list = {}
  local pipe <close> = assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

---The root of the source tree.
pages.root = lines_of("pwd")[1]
---The build folder, as an absolute path.
pages.build = process.build:sub(1, 1) == "/" and process.build or pages.root .. "/" .. process.build

---@return string[] # paths from the root
function pages.list()
  return lines_of "ls *.md docs/*.md docs/*/*.md examples/*.md worker/*.md 2>/dev/null | LC_ALL=C sort -u"
end

local function new_block(page, line, info)
  local language, how = info:match "^(%S*)%s*(.*)$"
  return { page = page, line = line, info = info, language = language, how = how, lines = {},
    reason = how:match "^not run: (.+)$" }
end

---@param page string
---@return spec.Block[]
function pages.blocks(page)
  local blocks, open, number = {}, nil, 0
  for line in io.lines(page) do
    number = number + 1
    local info = line:match "^```(.*)$"
    if info and not open then
      open = new_block(page, number, info)
    elseif info then
      open.text = table.concat(open.lines, "\n") .. "\n"
      blocks[#blocks + 1], open = open, nil
    elseif open then
      open.lines[#open.lines + 1] = line
    end
  end
  assert(not open, page .. ": a code block is not closed")
  return blocks
end

---@param page string
---@return string # the page without its code blocks
function pages.prose(page)
  local parts, inside = {}, false
  for line in io.lines(page) do
    if line:find "^```" then inside = not inside
    elseif not inside then parts[#parts + 1] = line end
  end
  return table.concat(parts, "\n")
end

---@param block spec.Block
---@param message string
function pages.fail(block, message, ...)
  error(("%s:%d: %s"):format(block.page, block.line, message:format(...)), 0)
end

return pages
