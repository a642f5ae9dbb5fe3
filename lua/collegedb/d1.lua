--- A Cloudflare D1 database over its REST interface.
--
--     local d1 = require "collegedb.d1"
--     local shard = d1.d1 { account = "…", database = "…", token = "…" }
--     shard:run("INSERT INTO users VALUES (?, ?)", { 1, "Ada" })
--
-- Values come and go exactly or not at all (d1_values.lua). A write is sent once: when its answer is lost,
-- OUTCOME_UNKNOWN is raised.

local core = require "collegedb.core"
local d1_sql = require "collegedb.d1_sql"
local d1_values = require "collegedb.d1_values"
local errors = require "collegedb.errors"
local net = require "collegedb.net"

local d1 = {}

-- D1's limits, looked at before anything is sent.
local SQL_LIMIT <const>, VALUES_LIMIT <const>, COLUMN_LIMIT <const> = 100000, 2000000, 100
local ANSWER_LIMIT <const>, DEADLINE <const> = 64 << 20, 40

---@class collegedb.D1 a shard value
local D1 = { __name = "collegedb.d1" }
D1.__index = D1

-- What must not be seen by who prints or walks over a shard value.
local hidden = setmetatable({}, { __mode = "k" })

function D1:__tostring() return "d1 " .. hidden[self].database end

-- --- requests -------------------------------------------------------------------------

local reader -- made before the first statement is sent: a write whose answer nobody can read would be lost

---The answer's document; nil and why.
local function decode(answer)
  if not (answer.body or ""):find "^%s*{" then return nil, "it is no JSON" end
  -- Its numbers were floats on their way: one of 2^63 or more is of no use, but must not spoil the rest.
  local document, why = reader:decode(answer.body, true)
  if document == nil then return nil, why end
  return document
end

-- What D1 said, of an answer that has errors.
local function said(document)
  local parts = {}
  for _, each in ipairs(type(document) == "table" and type(document.errors) == "table" and document.errors or {}) do
    if type(each) == "table" and type(each.message) == "string" then parts[#parts + 1] = each.message end
  end
  return #parts > 0 and table.concat(parts, "; ") or nil
end

-- Patterns of what D1 says about a statement, and their codes.
local verdicts <const> = {
  { "collegedb:moved", "MOVED" }, { "SQLITE_CONSTRAINT", "CONSTRAINT" }, { "SQLITE_TOOBIG", "TOO_LARGE" },
  { "SQLITE_FULL", "FULL" }, { "SQLITE_READONLY", "READONLY" }, { "SQLITE_BUSY", "BUSY" },
  { "SQLITE_CORRUPT", "CORRUPT" }, { "SQLITE_NOTADB", "CORRUPT" },
}

local function verdict(message)
  for _, each in ipairs(verdicts) do
    if message:find(each[1], 1, true) then return each[2] end
  end
  return "SQL"
end

local function fail(self, code, sql, answer, format, ...)
  local message = ("%s: %s"):format(tostring(self), format:format(...))
  local token = hidden[self].token
  if token then
    local from, to = message:find(token, 1, true)
    while from do
      message = message:sub(1, from - 1) .. "***" .. message:sub(to + 1)
      from, to = message:find(token, 1, true)
    end
  end
  error(errors.new(code, message, { sql = sql, http_status = answer.status, retry_after = answer.retry_after }), 0)
end

-- Raises for an answer that is none. A write that may have been done is OUTCOME_UNKNOWN.
local function refuse(self, sql, answer, write)
  local document = decode(answer)
  local message = said(document)
  if answer.cause == "SQL_ERROR" and message then fail(self, verdict(message), sql, answer, "%s", message) end
  if answer.cause == "OK" then
    fail(self, write and "OUTCOME_UNKNOWN" or "UNAVAILABLE", sql, answer, "%s",
      message or "it answered in a way that is not understood")
  end
  fail(self, answer.error.code, sql, answer, "%s%s", answer.error.message, message and ": " .. message or "")
end

-- The document, columns and meta of a good answer; nil for any other form.
local function read_answer(answer)
  if answer.cause ~= "OK" or not answer.body then return nil end
  local document, columns, meta, plain = reader:d1(answer.body)
  return document and { document = document, columns = columns, meta = meta, plain = plain }
end

local function send(self, sql, json, write, original)
  if #sql > SQL_LIMIT or #json > VALUES_LIMIT then
    errors.raise("TOO_LARGE", { sql = original }, "%s takes statements of %d bytes and values of %d bytes; these have "
      .. "%d and %d", tostring(self), SQL_LIMIT, VALUES_LIMIT, #sql, #json)
  end
  local to = hidden[self]
  reader = reader or core.json_reader()
  local body = ('{"sql":%s,"params":[%s]}'):format(d1_values.json_string(sql), d1_values.json_string(json))
  if not sql:find("?1", 1, true) then body = ('{"sql":%s}'):format(d1_values.json_string(sql)) end
  local answer = net.exchange { url = to.url, token = to.token, body = body, write = write, d1 = true,
    headers = { ["Content-Type"] = "application/json" }, limit = ANSWER_LIMIT, deadline = to.deadline or DEADLINE,
    budget = to.account and net.budget("cloudflare " .. to.account) or nil, ca_file = to.ca_file }
  local result = read_answer(answer)
  if not result then refuse(self, original, answer, write) end
  return result
end

-- --- statements -----------------------------------------------------------------------

-- Turns the answer into rows by these names. A value in another form than it was asked for is not believed.
local function name_rows(self, original, result, columns, write, encoded)
  local rows = result.document:rows(columns, encoded)
  if not rows then
    fail(self, write and "OUTCOME_UNKNOWN" or "UNSUPPORTED", original, {},
      "a value of the answer can not be told exactly%s", write and "; the write was done" or "")
  end
  result.rows, result.columns = rows, columns
  return result
end

-- Runs a reading statement so that its values come encoded. Nil: its columns are others than these.
local function read_encoded(self, sql, filled, json, columns)
  local done, result = pcall(send, self, d1_sql.wrap(filled, columns), json, false, sql)
  if done then return name_rows(self, sql, result, columns, false, true) end
  if not errors.is_error(result, "SQL") then error(result, 0) end
end

-- The columns that the text had before say how to encode. The first time they are not known, and the plain answer
-- tells them; it will do by itself where it can not be wrong.
local function read_exactly(self, sql, filled, json)
  local known = hidden[self].columns
  local exact = known[sql] and read_encoded(self, sql, filled, json, known[sql])
  if exact then return exact end
  known[sql] = nil
  local result = send(self, filled, json, false, sql)
  local columns = result.columns
  if result.plain then return name_rows(self, sql, result, columns, false, false) end
  if #columns > COLUMN_LIMIT then
    errors.raise("TOO_LARGE", { sql = sql }, "%s has at most %d columns", tostring(self), COLUMN_LIMIT)
  end
  exact = read_encoded(self, sql, filled, json, columns)
  if not exact then
    fail(self, "UNSUPPORTED", sql, {}, "the columns of this statement can not be told apart: give each a name by AS")
  end
  known[sql] = columns
  return exact
end

local function write_exactly(self, sql, filled, json, returning)
  if not returning then
    local result = send(self, filled, json, true, sql)
    return name_rows(self, sql, result, result.columns, true, true)
  end
  local wrapped = d1_sql.wrap_returning(filled, d1_sql.read(filled))
  local result = send(self, wrapped, json, true, sql)
  return name_rows(self, sql, result, result.columns, true, true)
end

local function check_text(sql)
  if type(sql) ~= "string" then errors.raise("USAGE", nil, "the SQL text must be a string, not %s", type(sql)) end
  local found = core.scan(sql)
  if found.kind == "empty" then errors.raise("USAGE", { sql = sql }, "the SQL text holds no statement") end
  if found.second then errors.raise("USAGE", { sql = sql }, "one statement a call: another follows") end
  if found.kind == "transaction" or found.kind == "attach" then
    errors.raise("UNSUPPORTED", { sql = sql }, "D1 runs no transactions over several calls, and no ATTACH")
  end
end

local function run(self, sql, params)
  check_text(sql)
  local parsed = d1_sql.read(sql)
  local numbers, count, names = d1_sql.number(parsed.tokens)
  local json, expressions = d1_values.encode(params, count, names)
  local filled = d1_sql.fill(sql, parsed, numbers, expressions)
  if parsed.kind == "read" then return read_exactly(self, sql, filled, json) end
  if parsed.kind == "write" then return write_exactly(self, sql, filled, json, parsed.returning) end
  local result = send(self, filled, json, true, sql)
  return name_rows(self, sql, result, result.columns, true, false)
end

-- A count or id that was not rounded on its way.
local function exact(number)
  return type(number) == "number" and math.abs(number) < 2 ^ 53 and math.tointeger(number) or nil
end

---Runs one statement.
---@param sql string
---@param params table?
---@return table result as db:run's; meta has D1's rows_read and rows_written, and no last_row_id above 2^53
function D1:run(sql, params)
  local result = run(self, sql, params)
  local meta = result.meta
  return { success = true, results = result.rows, columns = result.columns, meta = {
    duration = meta.duration or 0, changes = exact(meta.changes) or 0, last_row_id = exact(meta.last_row_id),
    rows_read = exact(meta.rows_read), rows_written = exact(meta.rows_written), served_by = tostring(self) } }
end

---@return table? row the first one, or nil
function D1:first(sql, params) return run(self, sql, params).rows[1] end

---@return table[] rows
function D1:all(sql, params) return run(self, sql, params).rows end

-- --- opening --------------------------------------------------------------------------

local CLOUDFLARE <const> = "https://api.cloudflare.com/client/v4"

local function is_id(value) return type(value) == "string" and value:find "^[%w_-]+$" ~= nil end
local function is_text(value) return type(value) == "string" and value:find "^[\33-\126]+$" ~= nil end
local function is_seconds(value) return type(value) == "number" and value > 0 and value <= 86400 end

-- Each field: a test, and what it takes. The value itself is never shown: it may be a secret.
local fields <const> = {
  account = { is_id, "an id of letters, digits and dashes" },
  database = { is_id, "an id of letters, digits and dashes" },
  token = { is_text, "printable characters without spaces" }, endpoint = { is_text, "a URL" },
  ca_file = { is_text, "a file's path" }, deadline = { is_seconds, "seconds, above 0 and up to 86,400" },
}

local function check_fields(given)
  if type(given) ~= "table" then errors.raise("CONFIG", nil, "d1 takes a table, not a %s", type(given)) end
  for field, value in pairs(given) do
    if not fields[field] then errors.raise("CONFIG", nil, "d1 has no field %s", tostring(field)) end
    if not fields[field][1](value) then
      errors.raise("CONFIG", { field = field }, "d1: %s takes %s", field, fields[field][2])
    end
  end
  local needed = { "database", not given.endpoint and "account" or nil, not given.endpoint and "token" or nil }
  for i = 1, 3 do
    if needed[i] and not given[needed[i]] then
      errors.raise("CONFIG", { field = needed[i] }, "d1: %s is missing%s", needed[i],
        needed[i] == "token" and " (or CLOUDFLARE_API_TOKEN)" or "")
    end
  end
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
  local base = (out.endpoint or CLOUDFLARE):gsub("/$", "") .. (out.account and "/accounts/" .. out.account or "")
  out.url, out.columns = ("%s/d1/database/%s/raw"):format(base, out.database), {}
  local shard = setmetatable({}, D1)
  hidden[shard] = out
  return shard
end

return d1
