-- The C headers as sections of docs/reference.md: each declaration with the comment above it.

local header = {}

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- The comment that ends where `text` ends.
local function last_comment(text)
  if not text:find "%*/\n?$" then return nil end
  return text:match ".*(/%*.-)$"
end

-- The words of a comment, without its stars.
local function words_of(comment)
  return (comment:gsub("^/%*%s*", ""):gsub("%s*%*/%s*$", ""):gsub("\n%s*%* ?", "\n"))
end

---Calls `found(name, declaration, comment)` for each function of a header.
---@param path string
---@param found fun(name: string, declaration: string, comment: string)
function header.functions(path, found)
  local text = read(path)
  for at, declaration in text:gmatch "()\n(CDB_API [^;]+;)" do
    local name = declaration:match "(%w+_[%w_]+)%("
    local comment = last_comment(text:sub(1, at))
    assert(comment and comment:find "%S %S", ("%s: %s has no comment above it"):format(path, name))
    found(name, (declaration:gsub("^CDB_API ", ""):gsub("\n%s+", "\n    ")), words_of(comment))
  end
end

---Calls `found(name, declaration, comment)` for each type of a header.
---@param path string
---@param found fun(name: string, declaration: string, comment: string?)
function header.types(path, found)
  for line, name, comment in read(path):gmatch "\n(typedef struct [%w_]+ ([%w_]+);)%s*/%* ([^\n]-) %*/" do
    found(name, line, comment)
  end
  local text = read(path)
  for at, declaration, name in text:gmatch "()\n(typedef struct {[^}]-} ([%w_]+);)" do
    found(name, declaration, words_of(assert(last_comment(text:sub(1, at)), name .. " has no comment above it")))
  end
  for at, declaration, name in text:gmatch "()\n(enum ([%w_]+) {[^}]-};)" do
    local comment = last_comment(text:sub(1, at))
    if comment then found(name, declaration, words_of(comment)) end
  end
end

return header
