-- D1 over REST: what a request costs this side, how fast its rows are read, and how far requests to many shards
-- overlap. The service is a fault server that answers at once, or after 50 ms; it stands before Cloudflare's engine,
-- on which the shards are opened.

local collegedb = require "collegedb"
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local floor = require "floor"
local measure = require "bench.measure"

local SHARDS <const>, DELAY <const>, REQUESTS <const>, ROWS <const> = 16, 50, 1000, 20000

-- --- answers -----------------------------------------------------------------------------

local function answer(columns, rows)
  return ('{"success":true,"errors":[],"messages":[],"result":[{"success":true,"meta":{"changes":0,"last_row_id":0,'
    .. '"rows_read":1,"rows_written":0},"results":{"columns":[%s],"rows":[%s]}}]}'):format(columns, rows)
end

local function step(body, delay)
  return { send = faults.answer(200, body), ending = "keep", delay = delay }
end

-- A table of users, as D1 gives it when it is asked as it is, and encoded.
local function users(count, encoded)
  local rows = {}
  for i = 1, count do
    local form = encoded and '["tuser-%08d","tName of user number %d","i%d",%.2f]'
      or '["user-%08d","Name of user number %d",%d,%.2f]'
    rows[i] = form:format(i, i, i % 90, i * 0.25 + 0.1)
  end
  return answer(encoded and '"c1","c2","c3","c4"' or '"id","name","age","score"', table.concat(rows, ","))
end

-- --- the service -------------------------------------------------------------------------

local function literal(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for key, each in pairs(value) do parts[#parts + 1] = ("[%s]=%s"):format(literal(key), literal(each)) end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- The pipe ends it.
local function start_service(ctx, plays)
  local path = ctx.tmp .. "/d1-answers.lua"
  local file <close> = assert(io.open(path, "w"))
  file:write("return ", literal(plays))
  file:close()
  local out = ctx.tmp .. "/d1-service"
  os.remove(out)
  local pipe = assert(io.popen(("lua5.4 bench/d1_service.lua '%s' >'%s'"):format(path, out), "w"))
  for _ = 1, 500 do
    local text <close> = io.open(out)
    local origin = text and text:read "l"
    if origin then return pipe, origin end
    os.execute "sleep 0.02"
  end
  error "the service did not start"
end

local function path_of(name) return "/d1/database/" .. name .. "/raw" end

-- --- one request ----------------------------------------------------------------------------

local function cost_of_requests(ctx)
  local body = answer('"v"', '["tsome text"]')
  local pipe, origin = start_service(ctx, { [path_of "small"] = { step(body) } })
  local shard = collegedb.d1 { database = "small", endpoint = origin }
  local count, list = ctx.quick and 200 or REQUESTS, {}
  for _ = 1, 5 do
    local began = floor.processor()
    for i = 1, count do shard:first("SELECT v FROM t WHERE id = ?", { i }) end
    list[#list + 1] = (floor.processor() - began) / count - floor.json(body, 1000)
  end
  pipe:close()
  local cost = measure.median(list) * 1e6
  return { what = "D1: processor time of a read by one request, without parsing", reach = "≤ 100 µs", met = cost <= 100,
    measured = ("%.0f µs"):format(cost) }
end

local function speed_of_rows(ctx)
  local encoded = users(ROWS, true)
  local path = path_of "large"
  local pipe, origin = start_service(ctx, {
    [path] = { step(users(1, false)), step(encoded) }, ["/plain"] = { step(encoded) } })
  local shard = collegedb.d1 { database = "large", endpoint = origin }
  assert(#shard:all "SELECT * FROM users" == ROWS)
  local net = require "collegedb.net"
  local ours, bare = {}, {}
  for i = 1, ctx.quick and 5 or 15 do
    collectgarbage()
    local began = floor.processor()
    local rows = shard:all "SELECT * FROM users"
    local all = floor.processor() - began
    assert(rows[ROWS].score == ROWS * 0.25 + 0.1 and rows[ROWS].age == ROWS % 90)
    rows = nil -- luacheck: ignore 311
    collectgarbage()
    began = floor.processor()
    net.request { url = origin .. "/plain", body = "{}", limit = 64 << 20 }
    ours[i], bare[i] = all - (floor.processor() - began), floor.json(encoded, 3)
  end
  pipe:close()
  local mine, theirs = ROWS / measure.median(ours), ROWS / measure.median(bare)
  return { what = "D1: rows of an answer read, and made Lua tables", reach = "≥ 0.5 of json_loads",
    met = mine >= theirs / 2,
    measured = ("%.2f (%s rows/s, json_loads %s)"):format(mine / theirs, measure.rate(mine),
      measure.rate(theirs)) }
end

-- --- many shards ------------------------------------------------------------------------------

local function overlap(ctx)
  if engine.missing() then return nil end
  local endpoint, names = engine.start(SHARDS)
  faults.start()
  local through = faults.stand_before(endpoint)
  local config = { kv = "memory:", auto_migrate = false, shards = {} }
  for i, name in ipairs(names) do
    config.shards[i] = { name = "s" .. i, collegedb.d1 { database = name, endpoint = through } }
  end
  local db = collegedb.open(config)
  local canned = step(answer('"v"', '["some text"]'), DELAY)
  canned.times = 1 << 30
  faults.network(canned)
  local sql, shard = "SELECT v FROM t", db:shard "s1"
  local function time(f, ...)
    local began = floor.now()
    f(...)
    return floor.now() - began
  end
  db:run_all_shards(sql)
  local one, all = {}, {}
  for i = 1, ctx.quick and 5 or 21 do
    one[i], all[i] = time(shard.all, shard, sql), time(db.run_all_shards, db, sql)
  end
  faults.network()
  db:close()
  require("collegedb.net").close()
  faults.stop()
  engine.stop()
  local ratio = measure.median(all) / measure.median(one)
  return { what = ("D1: `run_all_shards` on %d shards that take %d ms each"):format(SHARDS, DELAY),
    reach = "≤ 1.3 × one request", met = ratio <= 1.3,
    measured = ("%.2f × (%.1f ms, one %.1f ms)"):format(ratio, measure.median(all) * 1e3, measure.median(one) * 1e3) }
end

local function run(ctx) return { cost_of_requests(ctx), speed_of_rows(ctx), overlap(ctx) } end

return { run = run }
