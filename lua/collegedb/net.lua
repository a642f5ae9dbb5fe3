--- HTTP requests with deadlines, limits and retries, several at once. Loads libcurl at the first one.
--
--     local net = require "collegedb.net"
--     local answer = net.request { url = "https://…", token = "…", body = "{}", write = false }
--
-- What may come of a request, and what is sent again, is one table: src/net/policy.h.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local net = {}

---@class collegedb.net.Request
---@field url string https, or http to this machine
---@field method string? "GET"; with a body "POST"
---@field headers table<string, string>? further ones, by name
---@field body string?
---@field token string? a bearer token; it is in no message
---@field write boolean? may change something: never sent again once anything may have left (all but GET and HEAD)
---@field deadline number? seconds for the whole, with retries (30)
---@field connect number? seconds for one attempt to connect (10)
---@field limit integer? bytes of the answer, unpacked (16 MiB)
---@field attempts integer? at most so often (5)
---@field budget userdata? of net.budget
---@field ca_file string? certificates to trust instead of the system's

---@class collegedb.net.Answer
---@field status integer? nil: there was no answer
---@field body string? only of an answer that is whole
---@field content_type string?
---@field sent boolean|"unknown" was it sent? "unknown": it may have been, and its answer was lost
---@field attempts integer
---@field reused boolean the connection stood before
---@field cause string "OK", or what went wrong, such as "LOST"
---@field retry_after number? seconds
---@field error collegedb.Error? nil: the status is 2xx

local PARALLEL <const> = 16

local function usage(...) errors.raise("USAGE", nil, ...) end

local function is_seconds(value) return type(value) == "number" and value > 0 and value <= 86400 end
local function is_count(value) return math.type(value) == "integer" and value >= 1 and value <= 1 << 40 end
local function is_text(value) return type(value) == "string" and value ~= "" and not value:find "%c" end
local function is_string(value) return type(value) == "string" end
local function is_token(value) return is_text(value) and not value:find "[^\33-\126]" end
local function is_boolean(value) return type(value) == "boolean" end

-- Each field: a test, and what it takes.
local fields <const> = {
  url = { is_text, "a URL" },
  method = { function(value) return type(value) == "string" and value:find "^%u+$" ~= nil end, "a word such as POST" },
  headers = { function(value) return type(value) == "table" end, "a table from names to values" },
  body = { is_string, "a string" },
  token = { is_token, "a token of printable characters without spaces" },
  write = { is_boolean, "a boolean" },
  deadline = { is_seconds, "seconds, above 0 and up to 86,400" },
  connect = { is_seconds, "seconds, above 0 and up to 86,400" },
  limit = { is_count, "bytes, a whole number from 1" },
  attempts = { is_count, "a whole number from 1" },
  budget = { function(value) return type(value) == "userdata" end, "what net.budget returned" },
  ca_file = { is_text, "a file's path" },
}

-- The value itself is never shown: it may be a secret.
local function check_fields(request)
  if type(request) ~= "table" then usage("a request is a table, not a %s", type(request)) end
  for name, value in pairs(request) do
    local field = fields[name]
    if not field then usage("a request has no field %s", tostring(name)) end
    if not field[1](value) then usage("the field %s of a request takes %s", name, field[2]) end
  end
  if not request.url then usage "the field url of a request is missing" end
end

local function header_lines(headers)
  local lines = {}
  for name, value in pairs(headers or {}) do
    local fits = is_text(name) and not name:find "[^%w_-]" and type(value) == "string" and not value:find "%c"
    if not fits then usage("the header %s of a request takes a string without control characters", tostring(name)) end
    lines[#lines + 1] = name .. ": " .. value
  end
  table.sort(lines)
  return lines
end

local function milliseconds(seconds) return math.ceil(seconds * 1000) end

---A request as the C part takes it.
local function prepare(request)
  check_fields(request)
  local method = request.method or (request.body and "POST" or "GET")
  local asks = method == "GET" or method == "HEAD"
  local write = request.write
  if write == nil then write = not asks end
  return {
    url = request.url, method = method, token = request.token, ca_file = request.ca_file, budget = request.budget,
    headers = header_lines(request.headers), write = write, attempts = math.min(request.attempts or 5, 100),
    body = request.body or (not asks and "" or nil), limit = request.limit or 16 << 20,
    deadline_ms = milliseconds(request.deadline or 30), connect_ms = milliseconds(request.connect or 10),
  }
end

local function add_error(answer)
  if not answer.code then return end
  answer.error = errors.new(answer.code, answer.message,
    { http_status = answer.status, retry_after = answer.retry_after })
  answer.code, answer.message = nil, nil
end

local client

---Sends all requests, at most `parallel` (16) at once, and waits for every answer. A request that fails has its error
---in its answer; what is wrong with the requests themselves is raised.
---@param requests collegedb.net.Request[]
---@param options { parallel: integer? }?
---@return collegedb.net.Answer[] # in the order of the requests
function net.perform(requests, options)
  local parallel = options and options.parallel or PARALLEL
  if math.type(parallel) ~= "integer" or parallel < 1 or parallel > 1000 then
    usage "parallel takes a whole number from 1 to 1,000"
  end
  local prepared = {}
  for i, request in ipairs(requests) do prepared[i] = prepare(request) end
  client = client or core.net_client()
  local answers = client:perform(prepared, parallel)
  for _, answer in ipairs(answers) do add_error(answer) end
  return answers
end

local overlapping = setmetatable({}, { __mode = "k" }) -- the threads of net.together

---Sends one request and gives its answer back, with its error in it. Inside net.together those of the others are sent
---at the same time.
---@param request collegedb.net.Request
---@return collegedb.net.Answer
function net.exchange(request)
  if overlapping[coroutine.running()] then return coroutine.yield(request) end
  return net.perform({ request }, { parallel = 1 })[1]
end

---Sends one request.
---@param request collegedb.net.Request
---@return collegedb.net.Answer
---Raises what would be the answer's error.
function net.request(request)
  local answer = net.exchange(request)
  if answer.error then
    error(answer.error, 0)
  end
  return answer
end

-- Lets each thread go on with its answer until it asks again or ends; returns what is asked.
local function resume_all(threads, answers, results)
  local waiting, requests = {}, {}
  for i, each in ipairs(threads) do
    local done, value = coroutine.resume(each.thread, answers[i])
    if coroutine.status(each.thread) == "dead" then
      results[each.number] = { done = done, value = value }
    else
      waiting[#waiting + 1], requests[#requests + 1] = each, value
    end
  end
  return waiting, requests
end

---Runs functions so that their requests overlap: each goes on until it needs an answer, then all that wait are sent
---together.
---@param functions (fun(): any)[]
---@param options { parallel: integer? }?
---@return { done: boolean, value: any }[] # what each returned, or raised
function net.together(functions, options)
  local threads, results = {}, {}
  for i, f in ipairs(functions) do
    threads[i] = { thread = coroutine.create(f), number = i }
    overlapping[threads[i].thread] = true
  end
  local waiting, requests = resume_all(threads, {}, results)
  while #waiting > 0 do waiting, requests = resume_all(waiting, net.perform(requests, options), results) end
  return results
end

local budgets = {} -- kept for good: where there is no file to share, the counts are here alone

---The requests that an account is still allowed, shared with other programs of this user on this machine.
---@param account string
---@param limit integer? so many requests (1,200)
---@param window number? in any so many seconds (300)
function net.budget(account, limit, window)
  limit, window = limit or 1200, window or 300
  if not is_text(account) then usage "a rate budget takes an account's name" end
  if not (is_count(limit) and limit <= 1000000 and is_seconds(window)) then
    usage "a rate budget takes a number of requests, and seconds"
  end
  local name = ("%s %d %g"):format(account, limit, window)
  local budget = budgets[name] or core.net_budget(account, limit, milliseconds(window))
  budgets[name] = budget
  return budget
end

---Closes all connections that are kept for later.
function net.close()
  if client then client:close() end
  client = nil
end

return net
