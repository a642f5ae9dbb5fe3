--- A table KV, called with care: its functions are the user's code, and what they
-- return is checked before anything is made of it. A KV has get(key), put(key, string),
-- delete(key), list(prefix, cursor, limit) and perhaps compare_and_set(key, old, new); see docs/table-kv.md.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local store = {}

local PAGE = 1000       -- names asked for at once
local EMPTY_PAGES = 100 -- in a row, before a list that never ends is given up

---@class collegedb.KVStore
local Store = {}
Store.__index = Store

---@param kv table with the functions of a table KV
---@return collegedb.KVStore
function store.new(kv) return setmetatable({ kv = kv, atomic = kv.compare_and_set ~= nil }, Store) end

-- --- calling ------------------------------------------------------------------------

local function wrong(name, key, message, ...)
  errors.raise("CORRUPT", { kv_key = key }, "the table KV's %s(%q) " .. message, name, key, ...)
end

local function call(self, name, key, ...)
  local results = table.pack(pcall(self.kv[name], key, ...))
  if results[1] then return results[2], results[3] end
  local err = results[2]
  local passes = errors.is_error(err) or errors.is_interrupt(err)
  if passes then error(err, 0) end
  if errors.is_memory(err) then errors.raise("NOMEM", nil, "memory ran out in the table KV's %s", name) end
  local told, text = pcall(tostring, err)
  errors.raise("UNAVAILABLE", { cause = err, kv_key = key }, "the table KV's %s(%q) failed: %s", name, key,
    told and text or "it raised a " .. type(err))
end

--- The value of a key, or nil.
---@return string?
function Store:get(key)
  local value = call(self, "get", key)
  if value ~= nil and type(value) ~= "string" then
    wrong("get", key, "returned a %s; a value is a string or nil", type(value))
  end
  return value
end

function Store:put(key, value) call(self, "put", key, value) end
function Store:delete(key) call(self, "delete", key) end

--- Sets a key if its value is still `old` (nil: if it has none). Without the KV's
-- compare_and_set nothing is sure between the look and the writing: then only one program may use it at a time.
---@return boolean set
function Store:cas(key, old, new)
  if not self.atomic then
    if self:get(key) ~= old then return false end
    self:put(key, new)
    return true
  end
  local set = call(self, "compare_and_set", key, old, new)
  if type(set) ~= "boolean" then
    wrong("compare_and_set", key, "returned a %s; it says true or false", type(set))
  end
  return set
end

--- Waits before the next attempt, longer each time and never equally long, so that two that meet part.
function Store.pause(_, attempt) core.pause(math.tointeger(math.min(2 ^ attempt, 50))) end

-- --- listing ------------------------------------------------------------------------

local function check_names(prefix, names)
  if type(names) ~= "table" then wrong("list", prefix, "returned a %s; names are an array of strings", type(names)) end
  for i = 1, #names do
    if type(names[i]) ~= "string" or names[i]:sub(1, #prefix) ~= prefix then
      wrong("list", prefix, "returned %s, which is no name with that prefix",
        type(names[i]) == "string" and ("%q"):format(names[i]:sub(1, 60)) or "a " .. type(names[i]))
    end
  end
end

--- The names with a prefix, a page at a time. A cursor that comes again is an error: of
-- the cursors only one is remembered, a later one each time, so that a circle of any length is seen (R. Brent, 1980).
---@param prefix string
---@return fun(): string[]? pages
function Store:pages(prefix)
  local cursor, ended, seen = nil, false, nil
  local pages, mark, empty = 0, 1, 0
  return function()
    if ended then return nil end
    local names, following = call(self, "list", prefix, cursor, PAGE)
    check_names(prefix, names)
    pages, empty = pages + 1, #names == 0 and empty + 1 or 0
    ended = following == nil or following == false or following == ""
    if not ended and (following == cursor or following == seen or empty == EMPTY_PAGES) then
      wrong("list", prefix, "does not end: its cursor comes again, or leads to nothing but empty pages")
    end
    if pages == mark then seen, mark = following, mark * 2 end
    cursor = following
    return names
  end
end

-- --- looking only -------------------------------------------------------------------

--- A table KV over another one that keeps what is written to itself.
---@param kv table
---@return table
function store.overlay(kv)
  local own = {} -- false: deleted here
  local over = { list = kv.list }
  function over.get(key)
    if own[key] == nil then return kv.get(key) end
    return own[key] or nil
  end
  function over.put(key, value) own[key] = value end
  function over.delete(key) own[key] = false end
  over.compare_and_set = kv.compare_and_set and function(key, old, new)
    if over.get(key) ~= old then return false end
    own[key] = new
    return true
  end
  return over
end

return store
