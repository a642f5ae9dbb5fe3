-- Four processes insert new keys into four files, synchronous = FULL; ours through the router, the floor with one
-- prepared statement a file. In one layout each process's keys all lie on a shard of its own; in the other they are as
-- they come, so that every process writes to every file and they wait for one another. The floor writes the same kind
-- of keys to the files where the hash would place them, looked up before the time runs.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local COUNT <const> = 4
local KEYS_A_SECOND <const> = 15000 -- more than one process inserts

local function path_of(ctx, i) return ("%s/processes-%d.db"):format(ctx.tmp, i) end

local function keys_of(prefix, layout, process, count)
  local nodes = {}
  for i = 1, COUNT do nodes[i] = { name = "shard-" .. i, weight = 1 } end
  local placement, keys, places, i = core.placement(nodes), {}, {}, 0
  while #keys < count do
    i = i + 1
    local key = ("%s-%d-%08d"):format(prefix, process, i)
    local place = placement:place("", key)
    if layout == "spread" or place == process then keys[#keys + 1], places[#places + 1] = key, place end
  end
  return keys, places
end

local function writer(ctx, who, places)
  local sql = fixture.insert
  if who == "floor" then
    local writers = {}
    for i = 1, COUNT do writers[i] = floor.prepare(floor.open(path_of(ctx, i), "FULL"), sql, "run") end
    return function(i, key) writers[places[i]] { key, "Name of a new user", i % 90, i * 0.25 } end
  end
  local shards = {}
  for i = 1, COUNT do shards[i] = { name = "shard-" .. i, path_of(ctx, i) } end
  local db = collegedb.open { kv = ctx.tmp .. "/processes-directory.db", shards = shards }
  return function(i, key) db:insert(key, sql, { key, "Name of a new user", i % 90, i * 0.25 }) end
end

-- One process: inserts from `start` on for some seconds, and tells how many it did.
local function part(ctx, who, layout, prefix, process, start, seconds)
  start, seconds = tonumber(start), tonumber(seconds)
  local keys, places = keys_of(prefix, layout, tonumber(process), KEYS_A_SECOND * seconds // 1)
  local write = writer(ctx, who, places)
  while floor.now() < start do end
  local done, stop = 0, start + seconds
  while floor.now() < stop and done < #keys do
    done = done + 1
    write(done, keys[done])
  end
  return done
end

-- All four at once: inserts a second.
local function together(who, layout, prefix, seconds)
  local pipes, start, total = {}, floor.now() + 0.5, 0
  for i = 1, COUNT do
    local command = "lua5.4 bench/figure.lua part processes %s %s %s %d %.9f %g"
    pipes[i] = assert(io.popen(command:format(who, layout, prefix, i, start, seconds)))
  end
  for i = 1, COUNT do
    total = total + assert(pipes[i]:read "n", "a process failed")
    pipes[i]:close()
  end
  return total / seconds
end

local function layout_row(ctx, layout, label)
  local seconds, ours, floors, ratios = ctx.quick and 0.5 or 1, {}, {}, {}
  for i = 1, ctx.quick and 3 or 7 do
    floors[i] = together("floor", layout, ("f%s%d"):format(layout, i), seconds)
    ours[i] = together("ours", layout, ("o%s%d"):format(layout, i), seconds)
    ratios[i] = ours[i] / floors[i]
  end
  local ratio = measure.median(ratios)
  return {
    what = "inserts/s of 4 processes on 4 shards, FULL, " .. label, reach = "≥ 0.9 of bare SQLite", met = ratio >= 0.9,
    measured = ("%.2f (%s/s, bare %s/s)"):format(ratio, measure.rate(measure.median(ours)),
      measure.rate(measure.median(floors))),
  }
end

local function run(ctx)
  for i = 1, COUNT do fixture.create(path_of(ctx, i), 0) end
  return {
    layout_row(ctx, "own", "each process's keys on one shard"),
    layout_row(ctx, "spread", "keys spread over all shards"),
  }
end

return { run = run, part = part }
