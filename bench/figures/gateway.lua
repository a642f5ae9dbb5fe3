-- The gateway Worker on Cloudflare's engine: what it adds to a D1 call, against a Worker that only makes that call, and
-- what a batch saves. Requests go over one connection to each, in turns.

local floor = require "floor"
local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local measure = require "bench.measure"
local net = require "collegedb.net"

local ROWS <const>, BATCH <const> = 1000, 100

local function post(url, body)
  local answer = net.exchange { url = url, body = json.encode(body), token = gateway.token, write = false }
  if answer.status ~= 200 then error(("%s answered %s: %s"):format(url, answer.status, answer.body)) end
end

local drawn = 0
local function token()
  drawn = drawn + 1
  return ("%011x-%032x"):format(os.time() * 1000, drawn)
end

local USERS <const> = ([[WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
  INSERT INTO users SELECT printf('user-%%08d', i), 'Name of user number ' || i, i %% 90, i * 0.25 FROM n]])
  :format(ROWS)

-- The same tables for both; `write` does a statement.
local function prepare(write)
  write "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT NOT NULL, age INTEGER, score REAL)"
  write "CREATE TABLE log (id INTEGER PRIMARY KEY, what TEXT)"
  write(USERS)
end

-- The seconds that each of two took, in turns.
local function in_turns(rounds, first, second)
  local one, other = {}, {}
  local function time(f, i)
    local began = floor.now()
    f(i)
    return floor.now() - began
  end
  for i = 1, 20 do
    first(i)
    second(i)
  end
  for i = 1, rounds do
    if i % 2 == 0 then other[i] = time(second, i) end
    one[i] = time(first, i)
    if i % 2 == 1 then other[i] = time(second, i) end
  end
  return measure.median(one), measure.median(other)
end

local function query_figure(ctx, url, bare)
  local sql = "SELECT id, name, age, score FROM users WHERE id = ?1"
  local function ask(address, more)
    return function(i)
      more.sql, more.params = sql, { ("user-%08d"):format(i * 37 % ROWS + 1) }
      post(address, more)
    end
  end
  local mine, theirs = in_turns(ctx.quick and 200 or 2000, ask(url .. "/d1/DB/query", { named = true }), ask(bare, {}))
  return { what = "gateway: a query, against a bare Worker that makes the same D1 call", reach = "≥ 0.8",
    met = theirs / mine >= 0.8,
    measured = ("%.2f (%.2f ms, bare %.2f ms)"):format(theirs / mine, mine * 1e3, theirs * 1e3) }
end

local function batch_figure(ctx, url)
  local insert = { sql = "INSERT INTO log (what) VALUES (?1)", params = { "something that happened" } }
  local statements = {}
  for i = 1, BATCH do statements[i] = insert end
  local one, many = in_turns(ctx.quick and 50 or 500,
    function() post(url .. "/d1/DB/query", { sql = insert.sql, params = insert.params, write = token() }) end,
    function() post(url .. "/d1/DB/batch", { statements = statements, write = token() }) end)
  local ratio = one * BATCH / many
  return { what = ("gateway: %d inserts in a batch, against one by one"):format(BATCH), reach = "≥ 20 ×",
    met = ratio >= 20,
    measured = ("%.0f × (%s rows/s, %s)"):format(ratio, measure.rate(BATCH / many), measure.rate(1 / one)) }
end

local function run(ctx)
  if gateway.missing() then return {} end
  local mine = gateway.start { databases = { "DB" } }
  local bare = gateway.start { databases = { "DB" }, worker = "bench/bare_worker/index.js", objects = false }
  prepare(function(sql) post(mine.url .. "/d1/DB/query", { sql = sql, write = token() }) end)
  prepare(function(sql) post(bare.url, { sql = sql, params = {} }) end)
  local rows = { query_figure(ctx, mine.url, bare.url), batch_figure(ctx, mine.url) }
  net.close()
  mine.stop()
  bare.stop()
  return rows
end

return { run = run }
