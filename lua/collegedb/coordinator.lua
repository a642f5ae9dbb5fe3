--- The coordinator of a gateway (worker/src/coordinator.js) as a value: the directory is opened on it, and its entries
-- are asked for one by one (lua/collegedb/coordinator_entries.lua).
--
--     kv = gateway:coordinator()

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local json_reader = require "collegedb.json_reader"
local net = require "collegedb.net"

local coordinator = {}

local DEADLINE <const> = 40 -- seconds
local ATTEMPTS <const> = 12

---@class collegedb.Coordinator a value for `kv`
local Coordinator = { __name = "collegedb.coordinator" }
Coordinator.__index = Coordinator

-- What must not be seen by who prints or walks over a value.
local hidden = setmetatable({}, { __mode = "k" })

---@param to { url: string, token: string, deadline: number?, ca_file: string? } the gateway
---@return collegedb.Coordinator
function coordinator.new(to)
  local self = setmetatable({}, Coordinator)
  hidden[self] = { url = to.url .. "/coordinator/", token = to.token, ca_file = to.ca_file,
    deadline = to.deadline or DEADLINE }
  return self
end

function Coordinator:__tostring() return "the coordinator of " .. hidden[self].url:match "^(.*)/coordinator/$" end

--- What tells one coordinator from another.
function Coordinator:id() return hidden[self].url end

--- Opens the tables of its main object.
---@param name string for messages
---@param seconds number? no statement takes longer, whatever the deadline is
---@return userdata shard without transactions over several statements
function Coordinator:open(name, seconds)
  local to = hidden[self]
  return core.d1 { name = name, url = to.url .. "query", token = to.token, ca_file = to.ca_file,
    deadline_ms = math.ceil(math.min(to.deadline, seconds or math.huge) * 1000) }
end

local function is_rows(value)
  if type(value) ~= "table" then return false end
  for _, row in ipairs(value) do
    if type(row) ~= "table" then return false end
    for i = 1, 3 do
      if math.type(row[i]) ~= "integer" then return false end
    end
  end
  return true
end

-- What a field of an answer may be; with `?` it may be left out.
local forms <const> = {
  integer = function(value) return math.type(value) == "integer" end,
  boolean = function(value) return type(value) == "boolean" end,
  rows = is_rows, -- of three numbers each
  digests = function(value) return type(value) == "string" and #value % 32 == 0 and not value:find "%X" end,
}

local function fits(answer, form)
  if type(answer) ~= "table" then return false end
  for field, name in pairs(form or {}) do
    local needed = name:sub(-1) ~= "?"
    local value = answer[field]
    if value == nil and needed or value ~= nil and not forms[needed and name or name:sub(1, -2)](value) then
      return false
    end
  end
  return true
end

--- Asks for something that does no harm when it is asked for twice: it may be sent again.
---@param path string behind /coordinator/
---@param body table
---@param form table<string, string>? what is read of the answer
---@return table answer
---@return integer attempts
---Raises UNAVAILABLE for an answer that has another form.
function Coordinator:ask(path, body, form)
  local to = hidden[self]
  local answer = net.request { url = to.url .. path, token = to.token, ca_file = to.ca_file, deadline = to.deadline,
    headers = { ["Content-Type"] = "application/json" }, body = json.encode(body), write = false, attempts = ATTEMPTS }
  local done, value = pcall(json_reader.decode, answer.body or "")
  if done and fits(value, form) then return value, answer.attempts end
  errors.raise("UNAVAILABLE", { http_status = answer.status }, "%s: the answer is not what was asked for",
    tostring(self))
end

--- Its turns, beside another directory.
---@return { turn: (fun(name: string): integer), peek: (fun(name: string): integer) }
function Coordinator:turns()
  local function ask(name, peek) return (self:ask("turn", { name = name, peek = peek }, { turn = "integer" })).turn end
  return { turn = function(name) return ask(name) end, peek = function(name) return ask(name, true) end }
end

--- What the directory looks entries up in.
---@return collegedb.CoordinatorEntries
function Coordinator:entries() return require("collegedb.coordinator_entries").new(self) end

return coordinator
