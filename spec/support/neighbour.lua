-- Workers KV and a program with the TypeScript library beside ours, on Cloudflare's engine (spec/engine/neighbour.mjs).

local core = require "collegedb.core"
local engine = require "spec.support.engine"
local json = require "collegedb.json"
local net = require "collegedb.net"
local process = require "spec.support.process"
local reader = require "collegedb.json_reader"

local neighbour = { token = "kv-" .. ("k"):rep(32) }

neighbour.skips = engine.skips

local Neighbour = {}
Neighbour.__index = Neighbour

local function post(url, body)
  local answer = net.request { url = url, body = json.encode(json.object(body)), write = true, deadline = 60 }
  return reader.decode(answer.body)
end

--- One call of the other program: see spec/engine/neighbour_worker.js.
function Neighbour:call(name, arguments) return post(self.url .. "/neighbour/" .. name, arguments) end

--- How KV is to behave from now on: see spec/engine/kv_rest_worker.js. Returns how many requests there were since the
--- last time, and which keys they wrote.
function Neighbour:control(wanted)
  local answer = post(self.url .. "/control", wanted or {})
  return answer.requests, answer.written
end

--- The arguments of collegedb.cloudflare_kv.
function Neighbour:namespace(endpoint)
  return { account = self.account, namespace = self.namespaces[1], token = neighbour.token,
    endpoint = endpoint or self.url .. "/client/v4" }
end

--- Those of collegedb.d1.
---@param i integer? none: of a database that the other program does not use
function Neighbour:database(i)
  return { database = i and self.databases[i] or self.directory, endpoint = self.url .. "/cdn-cgi/explorer/api" }
end

function Neighbour:stop()
  net.close()
  self.pipe:close()
  process.remove(self.folder)
end

--- Starts it with so many D1 databases.
---@param databases integer?
function neighbour.start(databases)
  local self = setmetatable({ folder = process.new_folder(), databases = {}, namespaces = {} }, Neighbour)
  self.account = ("spec-%x"):format(core.random() >> 1) -- the requests of one are counted for all programs
  for i = 1, databases or 0 do self.databases[i] = ("spec_%x_%d"):format(core.random() >> 1, i) end
  self.directory = ("spec_%x_directory"):format(core.random() >> 1)
  self.namespaces[1] = ("spec_%x_kv"):format(core.random() >> 1)
  local given = { databases = self.databases, more = { self.directory }, namespaces = self.namespaces,
    token = neighbour.token }
  self.pipe = assert(io.popen(("exec env -u LD_PRELOAD HOME=%s timeout 500 node spec/engine/neighbour.mjs '%s' "
    .. ">%s/out 2>&1"):format(self.folder, json.encode(given), self.folder), "w"))
  local began = core.now()
  repeat
    core.pause(20)
    self.url = (process.read(self.folder .. "/out") or ""):match "^(http://%S+)\n"
    if self.url then return self end
  until core.now() - began > 30000
  error("the engine did not start: " .. tostring(process.read(self.folder .. "/out")))
end

return neighbour
