--- Error objects: every failure of CollegeDB is one of these tables.
-- Codes and what they mean stand in include/collegedb.h.

local core = require "collegedb.core"

local errors = {}

---@class collegedb.Error
---@field code string one of errors.codes, such as "BUSY"
---@field message string one sentence: what was wrong, and what would be right
---@field where string? file:line of the caller's code
---@field retryable boolean the same call may succeed later
---@field shard string?
---@field key any
---@field table string?
---@field sql string?
---@field sqlite_code integer? SQLite's extended result code
---@field cause any what a script or another error said
local Error = {}
Error.__index = Error
Error.__name = "collegedb.error"

--- Every code: { BUSY = { retryable = true, text = "…" }, … }.
errors.codes = core.codes

-- Chunks of CollegeDB itself share this prefix; the first frame without it is the caller's.
local own = debug.getinfo(1, "S").source:match "^(.*)errors%.lua$"
local embedded = "@[collegedb]/"

local function find_caller()
  for level = 3, 60 do
    local frame = debug.getinfo(level, "Sl")
    if not frame then return nil end
    local ours = frame.source:sub(1, #own) == own or frame.source:sub(1, #embedded) == embedded
    if frame.what ~= "C" and frame.currentline > 0 and not ours then
      return ("%s:%d"):format(frame.short_src, frame.currentline)
    end
  end
end

function Error:__tostring()
  local text = ("%s%s: %s"):format(self.where and self.where .. ": " or "", self.code, self.message)
  if self.shard and not text:find(self.shard, 1, true) then text = ("%s (shard %s)"):format(text, self.shard) end
  return (text:gsub("%s*[\r\n]+%s*", " "))
end

--- Makes an error object without raising it.
---@param code string
---@param message string
---@param fields table? further fields of the object
---@return collegedb.Error
function errors.new(code, message, fields)
  local object = fields or {}
  object.code, object.message = code, message
  object.retryable = core.codes[code].retryable
  object.where = object.where or find_caller()
  return setmetatable(object, Error)
end

--- Raises an error object; `message` is a format string for the values behind `fields`.
function errors.raise(code, fields, message, ...)
  error(errors.new(code, message:format(...), fields), 0)
end

--- Is `value` an error object of CollegeDB, and of this code if one is given?
---@param value any
---@param code string?
---@return boolean
function errors.is_error(value, code)
  return getmetatable(value) == Error and (code == nil or value.code == code)
end

--- Is `err` what Lua raises when it has no memory? It has none for an object then; `require` says more before it.
---@param err any
---@return boolean
function errors.is_memory(err) return type(err) == "string" and err:find "not enough memory$" ~= nil end

--- Is `err` what Ctrl-C raises, which nothing may take for a failure of its own?
---@return boolean
function errors.is_interrupt(err) return type(err) == "string" and err:find "interrupted!$" ~= nil end

core.on_error(errors.new)

return errors
