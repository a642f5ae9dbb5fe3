--- The coordinator of a gateway (worker/src/coordinator.js) as a value: the directory is opened on it, and its entries
-- are asked for one by one (lua/collegedb/coordinator_entries.lua).
--
--     kv = gateway:coordinator()

local core = require "collegedb.core"
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

--- Asks for something that does no harm when it is asked for twice: it may be sent again.
---@param path string behind /coordinator/
---@param body table
---@return table answer
---@return integer attempts
function Coordinator:ask(path, body)
  local to = hidden[self]
  local answer = net.request { url = to.url .. path, token = to.token, ca_file = to.ca_file, deadline = to.deadline,
    headers = { ["Content-Type"] = "application/json" }, body = json.encode(body), write = false, attempts = ATTEMPTS }
  return json_reader.decode(answer.body), answer.attempts
end

--- Its turns, beside another directory.
---@return { turn: (fun(name: string): integer), peek: (fun(name: string): integer) }
function Coordinator:turns()
  local function ask(name, peek) return (self:ask("turn", { name = name, peek = peek })).turn end
  return { turn = function(name) return ask(name) end, peek = function(name) return ask(name, true) end }
end

--- What the directory looks entries up in.
---@return collegedb.CoordinatorEntries
function Coordinator:entries() return require("collegedb.coordinator_entries").new(self) end

return coordinator
