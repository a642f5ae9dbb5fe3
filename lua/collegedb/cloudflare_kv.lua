--- A namespace of Workers KV, spoken to over Cloudflare's REST interface or through a gateway Worker.
--
--     local kv = collegedb.cloudflare_kv { account = "…", namespace = "…", token = "…" }
--     kv:put("greeting", "hello")
--     print(kv:get "greeting")
--
-- Workers KV answers from copies that are a minute old or more, "not found" among them, and has no compare-and-set: it
-- can be no directory, only a published copy of one (lua/collegedb/publish.lua). A value written twice is the same, so
-- all requests may be sent again.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local net = require "collegedb.net"
local reader = require "collegedb.json_reader"
local service_fields = require "collegedb.service_fields"
local transports = require "collegedb.cloudflare_kv_transports"

local cloudflare_kv = {}

---@class collegedb.CloudflareKV
local KV = { __name = "collegedb.cloudflare_kv" }
KV.__index = KV

local DEADLINE <const> = 30 -- seconds for one call
local ATTEMPTS <const> = 6  -- of what was written in part
local PAGE_BYTES <const> = 4 << 20
local PARALLEL <const> = 4
local LIMIT <const> = 64 << 20 -- bytes of an answer: a hundred values

-- What must not be seen by who prints or walks over a value.
local hidden = setmetatable({}, { __mode = "k" })

function KV:__tostring() return hidden[self].name end

--- What tells one namespace from another.
---@return string
function KV:id() return hidden[self].url end

--- Is it a value of collegedb.cloudflare_kv, or of a gateway's kv?
function cloudflare_kv.is(value) return type(value) == "table" and getmetatable(value) == KV end

-- --- names and values -------------------------------------------------------------------

local NO_NAME <const> = { [""] = true, ["."] = true, [".."] = true, ["__proto__"] = true }

local function check_name(name)
  if type(name) ~= "string" or not utf8.len(name) or #name > 512 or NO_NAME[name] then
    errors.raise("USAGE", nil, "a key of Workers KV is text of 1 to 512 bytes in UTF-8, and not ., .. or __proto__")
  end
end

-- The names, each once.
local function check_names(names)
  if type(names) ~= "table" then errors.raise("USAGE", nil, "the keys are an array, not a %s", type(names)) end
  local seen, out = {}, {}
  for _, name in ipairs(names) do
    check_name(name)
    if not seen[name] then out[#out + 1] = name end
    seen[name] = true
  end
  return out
end

local function check_entries(entries)
  if type(entries) ~= "table" then errors.raise("USAGE", nil, "the entries are an array, not a %s", type(entries)) end
  local seen = {}
  for _, entry in ipairs(entries) do
    local key = type(entry) == "table" and entry.key
    check_name(key)
    if type(entry.value) ~= "string" or not utf8.len(entry.value) then
      errors.raise("USAGE", { kv_key = key }, "the value of %q is no text in UTF-8", key)
    end
    if seen[key] then errors.raise("USAGE", { kv_key = key }, "there are two values for %q", key) end
    seen[key] = true
  end
end

-- --- sending ------------------------------------------------------------------------------

---@param deadline integer ms of core.now
local function request_of(to, deadline, method, path, body)
  return { url = to.url .. path, method = method, token = to.token, ca_file = to.ca_file, budget = to.budget,
    body = body and json.encode(body), headers = body and { ["Content-Type"] = "application/json" }, write = false,
    deadline = math.max((deadline - core.now()) / 1000, 0.001), limit = LIMIT }
end

-- What the service says, without what could be anything; and its code.
local function told(body)
  local done, answer = pcall(reader.decode, body or "")
  local first = done and type(answer) == "table" and type(answer.errors) == "table" and answer.errors[1]
  if type(first) ~= "table" then return "" end
  local text = type(first.message) == "string" and utf8.len(first.message) and first.message
  return text and ": " .. text:gsub("%c", " "):sub(1, 200) or "", first.code
end

-- The error of an answer, or nil and the answer's JSON.
local function read(self, answer)
  local err = answer.error
  if err then
    local text, code = told(answer.body)
    local message = ("%s: %s%s"):format(tostring(self), err.message, text)
    return errors.new(code == "READONLY" and code or err.code, message, { http_status = err.http_status,
      retry_after = err.retry_after })
  end
  local done, value = pcall(reader.decode, answer.body or "")
  if done and type(value) == "table" and value.success ~= false then return nil, value end
  return errors.new("UNAVAILABLE", ("%s: the answer is not what was asked for%s"):format(tostring(self),
    (told(answer.body))), { http_status = answer.status })
end

local function wrong(self, what)
  errors.raise("UNAVAILABLE", nil, "%s: the answer has no %s", tostring(self), what)
end

-- Sends all requests; each answer is { error, JSON }.
local function send(self, requests)
  local answers = #requests == 1 and { net.exchange(requests[1]) } or net.perform(requests, { parallel = PARALLEL })
  for i, answer in ipairs(answers) do answers[i] = { read(self, answer) } end
  return answers
end

local function deadline_of(self, seconds) return core.now() + (seconds or hidden[self].deadline or DEADLINE) * 1000 end

-- --- reading --------------------------------------------------------------------------------

local function add_values(self, out, keys, values)
  if type(values) ~= "table" then wrong(self, "values") end
  for _, key in ipairs(keys) do
    local value = values[key]
    if value ~= nil and type(value) ~= "string" then wrong(self, "text for " .. key) end
    out[key] = value
  end
end

--- The values of keys that have one.
---@param keys string[]
---@param seconds number? at most so long
---@return table<string, string>
function KV:get_many(keys, seconds)
  keys = check_names(keys)
  local to, deadline = hidden[self], deadline_of(self, seconds)
  local pages, requests, out = {}, {}, {}
  for first = 1, #keys, to.transport.most.get do
    local page = table.move(keys, first, math.min(first + to.transport.most.get - 1, #keys), 1, {})
    pages[#pages + 1] = page
    requests[#requests + 1] = request_of(to, deadline, to.transport.get(page))
  end
  if #requests == 0 then return out end
  for i, answer in ipairs(send(self, requests)) do
    if answer[1] then error(answer[1], 0) end
    add_values(self, out, pages[i], to.transport.values(answer[2]))
  end
  return out
end

--- The value of a key, or nil.
---@return string?
function KV:get(key, seconds)
  check_name(key)
  return self:get_many({ key }, seconds)[key]
end

--- Names that begin with a prefix, and where to go on; nil behind the last.
---@param prefix string?
---@param cursor string?
---@param limit integer? at most so many (1,000)
---@return string[] names, string? cursor
function KV:list(prefix, cursor, limit)
  local to = hidden[self]
  local request = request_of(to, deadline_of(self), to.transport.list(prefix or "", cursor, limit or 1000))
  local err, answer = table.unpack(send(self, { request })[1], 1, 2)
  if err then error(err, 0) end
  local names, following = to.transport.names(answer)
  if type(names) ~= "table" then wrong(self, "keys") end
  for _, name in ipairs(names) do
    if type(name) ~= "string" then wrong(self, "keys") end
  end
  return names, type(following) == "string" and following ~= "" and following or nil
end

-- --- writing --------------------------------------------------------------------------------

local AGAIN <const> = { UNAVAILABLE = true, BUSY = true, RATE_LIMITED = true, TIMEOUT = true, INTERNAL = true }

-- Pages of what is to be written, none larger than what one request takes.
local function pages_of(items, most, size_of)
  local pages, bytes = {}, 0
  for _, item in ipairs(items) do
    local page, size = pages[#pages], size_of(item)
    if not page or #page == most or bytes + size > PAGE_BYTES then
      page, bytes = {}, 0
      pages[#pages + 1] = page
    end
    page[#page + 1], bytes = item, bytes + size
  end
  return pages
end

local function name_of(item) return type(item) == "table" and item.key or item end

local function size_of(item) return type(item) == "table" and #item.key + #item.value + 32 or #item + 4 end

-- What of a page was not written.
local function unsuccessful(self, page, list, left)
  if list == nil then return end
  if type(list) ~= "table" then wrong(self, "list of keys") end
  local failed = {}
  for _, name in ipairs(list) do failed[name] = true end
  for _, item in ipairs(page) do
    if failed[name_of(item)] then left[#left + 1] = item end
  end
end

-- Writes once. Returns what was not written, and the last error.
local function attempt(self, operation, items, deadline)
  local to, requests, left, failure = hidden[self], {}, {}, nil
  local pages = pages_of(items, to.transport.most[operation], size_of)
  for i, page in ipairs(pages) do requests[i] = request_of(to, deadline, to.transport[operation](page)) end
  for i, answer in ipairs(send(self, requests)) do
    local err, value = answer[1], answer[2]
    if err then
      failure = failure and not AGAIN[failure.code] and failure or err
      table.move(pages[i], 1, #pages[i], #left + 1, left)
    else
      unsuccessful(self, pages[i], to.transport.unsuccessful(value), left)
    end
  end
  return left, failure
end

local function give_up(self, operation, left, total, err)
  local names = {}
  for i, item in ipairs(left) do names[i] = name_of(item) end
  local passes = err and not AGAIN[err.code] or err and err.code == "RATE_LIMITED"
  errors.raise(passes and err.code or "UNAVAILABLE", { cause = err, unsuccessful = names, retryable = true,
    http_status = err and err.http_status }, "%d of %d keys could not be %s, also when it was tried again%s", #left,
    total, operation == "put" and "written to " .. tostring(self) or "deleted from " .. tostring(self),
    err and " (" .. err.message .. ")" or "")
end

-- A key takes one write a second: who comes again waits for that.
local function pause_of(tries, err)
  local busy = err and (err.code == "BUSY" or err.code == "RATE_LIMITED")
  return busy and 2000 + tries * 200 or math.min(100 << tries, 2000) -- core.pause takes from half of it on
end

-- Writes, and again what was not written, until all is or the time is over.
local function write(self, operation, items, seconds)
  local deadline, left = deadline_of(self, seconds), items
  for tries = 1, ATTEMPTS do
    if #left == 0 then return end
    local err
    left, err = attempt(self, operation, left, deadline)
    local pause = pause_of(tries, err)
    local over = (err and not AGAIN[err.code]) or tries == ATTEMPTS or core.now() + pause >= deadline
    if #left > 0 and over then give_up(self, operation, left, #items, err) end
    if #left > 0 then core.pause(pause) end
  end
end

--- Sets the values of keys. Those that could not be set are tried again; then UNAVAILABLE says how many are left, and
--- which (`unsuccessful`).
---@param entries { key: string, value: string }[] each key once
---@param seconds number? at most so long
function KV:put_many(entries, seconds)
  check_entries(entries)
  write(self, "put", entries, seconds)
end

function KV:put(key, value, seconds) self:put_many({ { key = key, value = value } }, seconds) end

--- Deletes keys, whether they are there or not; as put_many.
---@param keys string[]
---@param seconds number?
function KV:delete_many(keys, seconds)
  write(self, "delete", check_names(keys), seconds)
end

function KV:delete(key, seconds) self:delete_many({ key }, seconds) end

--- May the token write? Nil where that can not be told without a write, as over REST.
---@param seconds number at most so long
---@return boolean?
function KV:may_write(seconds)
  local to = hidden[self]
  if to.transport ~= transports.gateway then return nil end
  local answer = net.exchange(request_of(to, deadline_of(self, seconds), to.transport.delete {}))
  if answer.status == 403 then return false end
  return answer.status ~= nil and answer.status < 500 or nil
end

-- --- the fields -----------------------------------------------------------------------------

local fields <const> = {
  account = service_fields.id, namespace = service_fields.id, token = service_fields.token,
  endpoint = service_fields.endpoint, ca_file = service_fields.ca_file, deadline = service_fields.deadline,
}

local function fail(field, ...) errors.raise("CONFIG", { field = field }, ...) end

local function check_fields(given)
  service_fields.check(given, fields, "cloudflare_kv")
  if not given.namespace then fail("namespace", "cloudflare_kv: namespace is missing") end
  if given.endpoint then return end
  if not given.account then fail("account", "cloudflare_kv: account is missing") end
  if not given.token then fail("token", "cloudflare_kv: token is missing (or CLOUDFLARE_API_TOKEN)") end
end

local function new(to)
  local kv = setmetatable({}, KV)
  hidden[kv] = to
  return kv
end

---A namespace of Workers KV, over Cloudflare's REST interface.
---@param given { account: string?, namespace: string, token: string?, endpoint: string?, deadline: number? }
-- `token` from CLOUDFLARE_API_TOKEN if it is left out; `account` may be where `endpoint` names another service
---@return collegedb.CloudflareKV
function cloudflare_kv.cloudflare_kv(given)
  if type(given) ~= "table" then fail(nil, "cloudflare_kv takes a table, not a %s", type(given)) end
  local to = {}
  for field, value in pairs(given) do to[field] = value end
  to.token = to.token or (not to.endpoint and os.getenv "CLOUDFLARE_API_TOKEN") or nil
  check_fields(to)
  to.url = ("%s%s/storage/kv/namespaces/%s"):format((to.endpoint or service_fields.CLOUDFLARE):gsub("/$", ""),
    to.account and "/accounts/" .. to.account or "", to.namespace)
  to.name, to.transport = "workers kv " .. to.namespace, transports.rest
  to.budget = to.account and net.budget("cloudflare " .. to.account) or nil
  return new(to)
end

---A namespace behind a gateway Worker; what `gateway:kv(binding)` gives.
---@param to { url: string, token: string, binding: string, ca_file: string?, deadline: number? } the gateway's address
---@return collegedb.CloudflareKV
function cloudflare_kv.through(to)
  return new { url = ("%s/kv/%s"):format(to.url, to.binding), token = to.token, ca_file = to.ca_file,
    deadline = to.deadline, name = "workers kv " .. to.binding, transport = transports.gateway }
end

return cloudflare_kv
