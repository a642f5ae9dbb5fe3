--- The gateway Worker (worker/, docs/cloudflare.md): D1 databases, a coordinator and Workers KV for programs outside of
-- Cloudflare.
--
--     local gateway = collegedb.gateway { url = "https://collegedb.example.workers.dev", token = "…" }
--     local east = gateway:shard "DB_EAST"

local coordinator = require "collegedb.coordinator"
local d1 = require "collegedb.d1"
local errors = require "collegedb.errors"
local service_fields = require "collegedb.service_fields"

local gateway = {}

---@class collegedb.Gateway
local Gateway = { __name = "collegedb.gateway" }
Gateway.__index = Gateway

-- What must not be seen by who prints or walks over a gateway.
local hidden = setmetatable({}, { __mode = "k" })

local accesses = {} -- token and ca_file of this program, by where they are for

function Gateway:__tostring() return "gateway " .. hidden[self].url end

local function fail(field, message, ...)
  errors.raise("CONFIG", { field = field }, "gateway: %s " .. message, field, ...)
end

-- A password in a URL would be seen wherever the gateway is printed; what is behind ? or # would be lost.
local function is_url(value)
  local host = type(value) == "string" and value:find "^https?://[\33-\126]+$" and not value:find "[@?#]"
    and value:match "^https?://([^/]+)"
  return host and (value:find "^https" or host:find "^localhost%f[:\0]" or host:find "^127%.[%d.]+%f[:\0]"
    or host:find "^%[::1%]") and true or false
end

local function is_boolean(value) return type(value) == "boolean" end

local fields <const> = {
  url = { is_url, "a URL: https, or http to this machine, without a user's name, ? and #" },
  token = service_fields.token, ca_file = service_fields.ca_file, deadline = service_fields.deadline,
}
local shard_fields <const> = { replicas = { is_boolean, "true or false" } }
local described_fields <const> = { gateway = fields.url, binding = service_fields.id, ca_file = fields.ca_file,
  deadline = fields.deadline, replicas = shard_fields.replicas }

---The gateway at `url`.
---@param given { url: string, token: string?, ca_file: string?, deadline: number? } `token` from
--- COLLEGEDB_GATEWAY_TOKEN if it is left out; `deadline` in seconds of one statement, with what is sent again (40)
---@return collegedb.Gateway
---Raises CONFIG.
function gateway.gateway(given)
  service_fields.check(given, fields, "gateway")
  if not given.url then fail("url", "is missing") end
  local to = { url = given.url:gsub("/+$", ""), ca_file = given.ca_file, deadline = given.deadline }
  to.token = given.token or (accesses[to.url] or {}).token or os.getenv "COLLEGEDB_GATEWAY_TOKEN"
  if not to.token then fail("token", "is missing (or COLLEGEDB_GATEWAY_TOKEN)") end
  if not service_fields.is_text(to.token) then fail("token", "takes %s", fields.token[2]) end
  accesses[to.url] = { token = to.token, ca_file = to.ca_file }
  local self = setmetatable({}, Gateway)
  hidden[self] = to
  return self
end

---A D1 database that the Worker has under this binding, as a shard value.
---@param binding string
---@param options { replicas: boolean? }? false: reads never go to copies of the database
---@return collegedb.D1
function Gateway:shard(binding, options)
  local to = hidden[self]
  if not service_fields.is_id(binding) then fail("shard", "takes the name of a binding") end
  service_fields.check(options or {}, shard_fields, "gateway:shard", "gateway")
  return d1.behind_gateway { gateway = to.url, binding = binding, token = to.token, ca_file = to.ca_file,
    deadline = to.deadline, replicas = not options or options.replicas ~= false }
end

---The coordinator, which many machines and Workers share: a directory, as `kv`.
---@return collegedb.Coordinator
function Gateway:coordinator() return coordinator.new(hidden[self]) end

---A namespace of Workers KV that the Worker has under this binding, as `publish`.
---@param binding string
---@return collegedb.CloudflareKV
function Gateway:kv(binding)
  local to = hidden[self]
  if not service_fields.is_id(binding) then fail("kv", "takes the name of a binding") end
  return require("collegedb.cloudflare_kv").through { url = to.url, binding = binding, token = to.token,
    ca_file = to.ca_file, deadline = to.deadline }
end

---A shard that another program has described. The token is the one that this program has for the same gateway: that of
---the environment is not sent to an address that only the directory has, and without one the gateway refuses (AUTH).
---Nor is it sent to who has a certificate that only the directory trusts.
---@param description table of D1:describe
---@return collegedb.D1
---Raises CONFIG.
function gateway.described(description)
  service_fields.check(description, described_fields, "gateway")
  if not description.binding then fail("shard", "takes the name of a binding") end
  local known = accesses[description.gateway] or { ca_file = description.ca_file }
  return d1.behind_gateway { gateway = description.gateway, binding = description.binding,
    token = known.token, ca_file = known.ca_file, deadline = description.deadline, replicas = description.replicas }
end

return gateway
