--- The gateway Worker (worker/, docs/cloudflare.md): D1 databases, a coordinator and Workers KV for programs outside of
-- Cloudflare.
--
--     local gateway = collegedb.gateway { url = "https://collegedb.example.workers.dev", token = "…" }
--     local east = gateway:shard "DB_EAST"

local coordinator = require "collegedb.coordinator"
local d1 = require "collegedb.d1"
local errors = require "collegedb.errors"

local gateway = {}

---@class collegedb.Gateway
local Gateway = { __name = "collegedb.gateway" }
Gateway.__index = Gateway

-- What must not be seen by who prints or walks over a gateway.
local hidden = setmetatable({}, { __mode = "k" })

local tokens = {} -- of this program, by where they are for

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

local function is_text(value) return type(value) == "string" and value:find "^[\33-\126]+$" ~= nil end
local function is_name(value) return type(value) == "string" and value:find "^[%w_-]+$" ~= nil end
local function is_seconds(value) return type(value) == "number" and value > 0 and value <= 86400 end
local function is_boolean(value) return type(value) == "boolean" end

-- Each field: a test, and what it takes. The value itself is never shown: it may be a secret.
local fields <const> = {
  url = { is_url, "a URL: https, or http to this machine, without a user's name, ? and #" },
  token = { is_text, "printable characters without spaces" },
  ca_file = { is_text, "a file's path" },
  deadline = { is_seconds, "seconds, above 0 and up to 86,400" },
}
local shard_fields <const> = { replicas = { is_boolean, "true or false" } }

local function check(given, known, what)
  if type(given) ~= "table" then errors.raise("CONFIG", nil, "%s takes a table, not a %s", what, type(given)) end
  for field, value in pairs(given) do
    if not known[field] then errors.raise("CONFIG", nil, "%s has no field %s", what, tostring(field)) end
    if not known[field][1](value) then fail(field, "takes %s", known[field][2]) end
  end
end

---The gateway at `url`.
---@param given { url: string, token: string?, ca_file: string?, deadline: number? } `token` from
--- COLLEGEDB_GATEWAY_TOKEN if it is left out; `deadline` in seconds of one statement, with what is sent again (40)
---@return collegedb.Gateway
---Raises CONFIG.
function gateway.gateway(given)
  check(given, fields, "gateway")
  if not given.url then fail("url", "is missing") end
  local to = { url = given.url:gsub("/+$", ""), ca_file = given.ca_file, deadline = given.deadline }
  to.token = given.token or tokens[to.url] or os.getenv "COLLEGEDB_GATEWAY_TOKEN"
  if not to.token then fail("token", "is missing (or COLLEGEDB_GATEWAY_TOKEN)") end
  if not is_text(to.token) then fail("token", "takes %s", fields.token[2]) end
  tokens[to.url] = to.token
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
  if not is_name(binding) then fail("shard", "takes the name of a binding") end
  check(options or {}, shard_fields, "gateway:shard")
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
  if not is_name(binding) then fail("kv", "takes the name of a binding") end
  return require("collegedb.cloudflare_kv").through { url = to.url, binding = binding, token = to.token,
    ca_file = to.ca_file, deadline = to.deadline }
end

---A shard that another program has described. The token is the one that this program has for the same gateway: that of
---the environment is not sent to an address that only the directory has, and without one the gateway refuses (AUTH).
---@param description table of D1:describe
---@return collegedb.D1
function gateway.described(description)
  return d1.behind_gateway { gateway = description.gateway, binding = description.binding,
    token = tokens[description.gateway], ca_file = description.ca_file, deadline = description.deadline,
    replicas = description.replicas }
end

---What the parts of the gateway in other files need to reach it.
---@param self collegedb.Gateway
---@return { url: string, token: string, ca_file: string?, deadline: number? }
function gateway.access(self) return hidden[self] end

return gateway
