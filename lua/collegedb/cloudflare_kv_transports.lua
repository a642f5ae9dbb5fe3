--- How Workers KV is asked: over Cloudflare's REST interface
-- (https://developers.cloudflare.com/api/resources/kv/subresources/namespaces/), or through the gateway Worker
-- (docs/gateway-protocol.md). Of each: how much one request takes, what is sent for an operation (method, path and
-- body), and where its answer has what was asked for.

local json = require "collegedb.json"

local transports = {}

local function escape(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local rest = { most = { get = 100, put = 10000, delete = 10000 } }

function rest.get(keys) return "POST", "/bulk/get", { keys = keys, type = "text" } end
function rest.put(entries) return "PUT", "/bulk", entries end
function rest.delete(keys) return "POST", "/bulk/delete", keys end

function rest.list(prefix, cursor, limit)
  local query = { ("limit=%d"):format(math.max(10, math.min(limit, 1000))) }
  if prefix ~= "" then query[#query + 1] = "prefix=" .. escape(prefix) end
  if cursor then query[#query + 1] = "cursor=" .. escape(cursor) end
  return "GET", "/keys?" .. table.concat(query, "&")
end

local function field(value, name)
  if type(value) == "table" then return value[name] end
end

function rest.values(answer) return field(answer.result, "values") end
function rest.unsuccessful(answer) return field(answer.result, "unsuccessful_keys") end

function rest.names(answer)
  if type(answer.result) ~= "table" then return nil end
  local names = {}
  for i, key in ipairs(answer.result) do names[i] = field(key, "name") or false end
  return names, field(answer.result_info, "cursor")
end

transports.rest = rest

local gateway = { most = { get = 100, put = 500, delete = 500 } }

function gateway.get(keys) return "POST", "/get", { keys = keys } end
function gateway.put(entries) return "POST", "/put", { entries = entries } end
function gateway.delete(keys) return "POST", "/delete", { keys = keys } end

function gateway.list(prefix, cursor, limit)
  return "POST", "/list", json.object { prefix = prefix, cursor = cursor, limit = math.min(limit, 1000) }
end

function gateway.values(answer) return answer.values end
function gateway.unsuccessful(answer) return answer.unsuccessful end
function gateway.names(answer) return answer.keys, answer.cursor end

transports.gateway = gateway

return transports
