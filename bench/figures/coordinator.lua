-- A claim of the coordinator's, through the gateway, against a Durable Object that does nothing but insert. Requests go
-- over one connection to each, in turns.

local core = require "collegedb.core"
local floor = require "floor"
local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local measure = require "bench.measure"
local net = require "collegedb.net"

local function post(url, body)
  local answer = net.exchange { url = url, body = json.encode(body), token = gateway.token, write = false }
  if answer.status ~= 200 then error(("%s answered %s: %s"):format(url, answer.status, answer.body)) end
end

local function digest() return ("%016x%016x"):format(core.random(), core.random()) end

local function seconds(url, body)
  local began = floor.now()
  post(url, body)
  return floor.now() - began
end

local function run(ctx)
  if gateway.missing() then return {} end
  local served = gateway.start {}
  local bare = gateway.start { worker = "bench/bare_object/index.js" }
  local url = served.url .. "/coordinator/"
  post(url .. "shards", { shard = "db-a" })
  local mine, theirs = {}, {}
  for i = 1, ctx.quick and 300 or 3000 do
    -- The first ones make what is made once.
    local at = math.max(i - 100, 1)
    mine[at] = seconds(url .. "claim", { digest = digest(), shard = "db-a" })
    theirs[at] = seconds(bare.url, { digest = digest(), shard = 1 })
  end
  net.close()
  served.stop()
  bare.stop()
  local one, other = measure.median(mine), measure.median(theirs)
  return { { what = "coordinator: a claim, against a bare Durable Object that inserts the same", reach = "≥ 0.8",
    met = other / one >= 0.8,
    measured = ("%.2f (%.2f ms, bare %.2f ms)"):format(other / one, one * 1e3, other * 1e3) } }
end

return { run = run }
