---@meta collegedb.net

-- HTTP with deadlines, limits and retries, several requests at once: what shards on the net are spoken to by.

---`local net = require "collegedb.net"`. Loads libcurl at the first request.
---@class collegedb.net
local net = {}

---@class collegedb.net.Request
---@field url string https, or http to this machine
---@field method? string default `"GET"`, with a body `"POST"`
---@field headers? table<string, string> further ones, by name
---@field body? string
---@field token? string a bearer token; it is in no message
---@field write? boolean may change something: never sent again once anything may have left; default all but GET and HEAD
---@field deadline? number seconds for the whole, with retries; default 30
---@field connect? number seconds for one attempt to connect; default 10
---@field limit? integer bytes of the answer, unpacked; default 16 MiB
---@field attempts? integer at most so often; default 5
---@field budget? collegedb.net.Budget of `net.budget`
---@field ca_file? string certificates to trust instead of the system's
---@field [string] collegedb.NoSuchField

---@class collegedb.net.Answer
---@field status? integer nil: there was no answer
---@field body? string only of an answer that is whole
---@field content_type? string
---@field sent boolean|"unknown" was it sent? `"unknown"`: it may have been, and its answer was lost
---@field attempts integer
---@field reused boolean the connection stood before
---@field cause string `"OK"`, or what went wrong, such as `"LOST"`
---@field retry_after? number seconds
---@field error? collegedb.Error nil: the status is 2xx

---@class collegedb.net.Options
---@field parallel? integer at most so many at once; default 16
---@field [string] collegedb.NoSuchField

---What `net.budget` returns.
---@class collegedb.net.Budget: userdata
---@field private opaque true

---Sends one request.
---
---Raises `USAGE` (the request); what the answer's error is: `UNAVAILABLE`, `TIMEOUT`, `OUTCOME_UNKNOWN`,
---`RATE_LIMITED`, `AUTH`, `TOO_LARGE`; `UNSUPPORTED` (libcurl is missing).
---@param request collegedb.net.Request
---@return collegedb.net.Answer
function net.request(request) end

---Sends one request and returns its answer, with its error in it. Inside `net.together` those of the others are sent
---at the same time.
---
---Raises `USAGE`, `UNSUPPORTED`.
---@param request collegedb.net.Request
---@return collegedb.net.Answer
function net.exchange(request) end

---Sends all requests and waits for every answer. A request that fails has its error in its answer.
---
---Raises `USAGE`, `UNSUPPORTED`.
---@param requests collegedb.net.Request[]
---@param options? collegedb.net.Options at most so many at once; default 16
---@return collegedb.net.Answer[] answers in the order of the requests
function net.perform(requests, options) end

---Runs functions so that their requests overlap: each goes on until it needs an answer, then all that wait are sent
---together.
---
---Raises `USAGE`, `UNSUPPORTED`.
---@param functions (fun(): any)[]
---@param options? collegedb.net.Options
---@return { done: boolean, value: any }[] results what each returned, or raised
function net.together(functions, options) end

---The requests that an account is still allowed, shared with other programs of this user on this machine.
---
---Raises `USAGE`.
---@param account string
---@param limit? integer so many requests; default 1,200
---@param window? number in any so many seconds; default 300
---@return collegedb.net.Budget
function net.budget(account, limit, window) end

---Closes all connections that are kept for later.
function net.close() end

return net
