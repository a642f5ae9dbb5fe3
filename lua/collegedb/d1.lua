--- A Cloudflare D1 database as a shard value: over Cloudflare's REST interface, or through the gateway Worker
-- (lua/collegedb/gateway.lua).
--
--     local d1 = require "collegedb.d1"
--     local shard = d1.d1 { account = "…", database = "…", token = "…" }
--     shard:run("INSERT INTO users VALUES (?, ?)", { 1, "Ada" })
--
-- What it does is in C: src/shard/d1.c.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local net = require "collegedb.net"
local service_fields = require "collegedb.service_fields"

local d1 = {}

local DEADLINE <const> = 40 -- seconds

---@class collegedb.D1 a shard value
local D1 = { __name = "collegedb.d1" }

-- What must not be seen by who prints or walks over a shard value.
local hidden = setmetatable({}, { __mode = "k" })

local ids = setmetatable({}, { __mode = "k" }) -- of open shards

function D1:__tostring() return "d1 " .. (hidden[self].database or hidden[self].binding) end

--- Opens a connection.
---@param name string the shard's, for messages
---@param seconds number? no statement takes longer, whatever the deadline is
---@return userdata shard
function D1:open(name, seconds)
  local to = hidden[self]
  if not to.token and not to.endpoint and not to.gateway then
    errors.raise("CONFIG", { field = "token", shard = name }, "%s needs a token: set CLOUDFLARE_API_TOKEN",
      tostring(self))
  end
  local shard = core.d1 {
    name = name, url = to.url, batch_url = to.batch_url, replicas = to.replicas, token = to.token,
    ca_file = to.ca_file,
    deadline_ms = math.ceil(math.min(to.deadline or DEADLINE, seconds or math.huge) * 1000),
    budget = to.account and net.budget("cloudflare " .. to.account) or nil,
  }
  ids[shard] = to.url
  return shard
end

-- The gateway refuses a write to who only reads before it looks at the write's token, which is none.
local NO_WRITE <const> = '{"sql":"SELECT 1","write":"none"}'

--- May the token write? Nil where that can not be told without a write, as over REST.
---@param seconds number at most so long
---@return boolean?
function D1:may_write(seconds)
  local to = hidden[self]
  if not to.gateway then return nil end
  local answer = net.exchange { url = to.url, token = to.token, ca_file = to.ca_file, body = NO_WRITE, write = false,
    headers = { ["Content-Type"] = "application/json" }, deadline = seconds }
  if answer.status == 403 then return false end
  return answer.status == 400 or nil
end

--- What another program needs to open it, without the token.
---@return table # for d1.described
function D1:describe()
  local to = hidden[self]
  return { account = to.account, database = to.database, endpoint = to.endpoint, deadline = to.deadline,
    ca_file = to.ca_file, gateway = to.gateway, binding = to.binding, replicas = to.replicas }
end

--- What tells one database from another.
---@return string
function D1:id() return hidden[self].url end

--- The same of an open shard.
---@param shard userdata
---@return string?
function d1.id_of(shard) return ids[shard] end

-- A value may be used by itself, without a name in a config.
local function handle_of(self)
  local to = hidden[self]
  to.handle = to.handle or self:open(tostring(self):sub(1, 127))
  return to.handle
end

function D1.__index(self, name)
  if rawget(D1, name) then return rawget(D1, name) end
  local method = core.shard_methods[name]
  return method and function(_, ...) return method(handle_of(self), ...) end
end

-- --- the fields -----------------------------------------------------------------------

local fields <const> = {
  account = service_fields.id, database = service_fields.id, token = service_fields.token,
  endpoint = service_fields.endpoint, ca_file = service_fields.ca_file, deadline = service_fields.deadline,
}

---@param described boolean? by another program: without its token
local function check_fields(given, described)
  service_fields.check(given, fields, "d1")
  local needed = { "database", not given.endpoint and "account" or nil,
    not (given.endpoint or described) and "token" or nil }
  for i = 1, 3 do
    if needed[i] and not given[needed[i]] then
      errors.raise("CONFIG", { field = needed[i] }, "d1: %s is missing%s", needed[i],
        needed[i] == "token" and " (or CLOUDFLARE_API_TOKEN)" or "")
    end
  end
end

local accesses = {} -- token and ca_file of this program, by where they are for

-- A token of this program goes only where its own certificates say: not those that a directory names.
---@param described boolean? by another program: without its token
local function make(out, described)
  local base = (out.endpoint or service_fields.CLOUDFLARE):gsub("/$", "")
    .. (out.account and "/accounts/" .. out.account or "")
  local known = accesses[base] or {}
  out.token = out.token or known.token or (not out.endpoint and os.getenv "CLOUDFLARE_API_TOKEN") or nil
  if described and out.token then out.ca_file = known.ca_file end
  accesses[base] = { token = out.token, ca_file = out.ca_file }
  out.url = ("%s/d1/database/%s/raw"):format(base, out.database)
  local shard = setmetatable({}, D1)
  hidden[shard] = out
  return shard
end

---A D1 database behind the gateway.
---@param to { gateway: string, binding: string, token: string, deadline: number?, ca_file: string?, replicas: boolean }
---@return collegedb.D1
function d1.behind_gateway(to)
  to.url = ("%s/d1/%s/query"):format(to.gateway, to.binding)
  to.batch_url = ("%s/d1/%s/batch"):format(to.gateway, to.binding)
  local shard = setmetatable({}, D1)
  hidden[shard] = to
  return shard
end

---A D1 database as a shard value.
---@param given { account: string?, database: string, token: string?, endpoint: string?, deadline: number? }
-- `token` from CLOUDFLARE_API_TOKEN if it is left out; `account` may be where `endpoint` names another service
---@return collegedb.D1
function d1.d1(given)
  local out = {}
  for field, value in pairs(type(given) == "table" and given or {}) do out[field] = value end
  out.token = out.token or os.getenv "CLOUDFLARE_API_TOKEN"
  check_fields(type(given) == "table" and out or given)
  return make(out)
end

---A D1 database that another program has described. Its token is the one that this program has for another database
---of the same account, or CLOUDFLARE_API_TOKEN.
---@param description table of describe
---@return collegedb.D1
function d1.described(description)
  if description.gateway then return require("collegedb.gateway").described(description) end
  check_fields(description, true)
  return make(description, true)
end

return d1
