-- Taking a table of a million TEXT keys over into an empty directory, against a loop in C that reads the same keys in
-- the same pages, digests, sorts and inserts them (bench/floor_integrate.c). `directory = "full"`, so that every key
-- gets an entry, as in the floor. Each run has a process of its own, in which memory is measured too.

local collegedb = require "collegedb"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local TABLE <const> = [[CREATE TABLE _collegedb_entries (
  digest BLOB PRIMARY KEY, shard INTEGER NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID]]

local function remove(path)
  for _, tail in ipairs { "", "-wal", "-shm", "-users" } do os.remove(path .. tail) end
end

-- What the children do: integrate `path` into a new directory and tell seconds, entries, and how much memory grew.
local function child(ctx, path, mode)
  local directory = ctx.tmp .. "/integrate-directory.db"
  remove(directory)
  local shards = { { name = "a", path } }
  if mode == "sparse" then shards[2] = { name = "b", ctx.tmp .. "/integrate-other.db" } end
  local db <close> = collegedb.open {
    kv = directory, auto_migrate = false, directory = mode == "sparse" and "sparse" or "full", shards = shards,
  }
  collectgarbage()
  local before, start = measure.memory "VmRSS", floor.now()
  local report = db:integrate "a"
  local seconds = floor.now() - start
  assert(report.success, report.issues[1])
  return seconds, report.total_records, report.entries, measure.memory "VmHWM" - before
end

local function base(ctx, path)
  local directory = ctx.tmp .. "/integrate-floor.db"
  remove(directory)
  local source, target = floor.open(path, "FULL"), floor.open(directory, "FULL")
  floor.exec(target, TABLE)
  local start = floor.now()
  floor.integrate(source, target, "users", "id", 1)
  local seconds = floor.now() - start
  floor.close(source)
  floor.close(target)
  return seconds
end

-- In a process of its own; see bench/figure.lua.
local function part(path, mode)
  local pipe <close> = assert(io.popen(("lua5.4 bench/figure.lua part integrate '%s' %s"):format(path, mode)))
  return pipe:read("n", "n", "n", "n")
end

local function megabytes(bytes) return ("%.0f MiB"):format(bytes / 2 ^ 20) end

local function run(ctx)
  local million = ctx.quick and 200000 or 1000000
  local path = fixture.create(ctx.tmp .. "/integrate.db", million)
  local ours, floors, ratios, growth = {}, {}, {}, {}
  for i = 1, ctx.quick and 3 or 5 do
    floors[i] = part(path, "floor")
    local _, entries
    ours[i], _, entries, growth[i] = part(path, "full")
    assert(entries == million)
    ratios[i] = floors[i] / ours[i]
  end
  local ratio, most = measure.median(ratios), math.max(table.unpack(growth))
  local rows = { {
    what = ("integrating %s rows with TEXT keys"):format(ctx.quick and "200,000" or "1,000,000"),
    reach = "≥ 0.7 of the floor", met = ratio >= 0.7,
    measured = ("%.2f (%s keys/s, floor %s keys/s)"):format(ratio, measure.rate(million / measure.median(ours)),
      measure.rate(million / measure.median(floors))),
  }, {
    what = "memory that integrating takes", reach = "≤ 64 MiB", met = most <= 64 * 2 ^ 20, measured = megabytes(most),
  } }
  local seconds, _, entries = part(path, "sparse")
  rows[3] = {
    what = "integrating the same rows into a sparse directory, with a second, empty shard",
    measured = ("%s keys/s; %d entries, the others are at home"):format(measure.rate(million / seconds), entries),
  }
  remove(path)
  if not ctx.quick then
    path = fixture.create(ctx.tmp .. "/integrate.db", 5 * million)
    local time, records, _, more = part(path, "full")
    assert(records == 5 * million)
    remove(path)
    rows[4] = {
      what = "memory that integrating 5,000,000 rows takes", reach = "≤ 64 MiB", met = more <= 64 * 2 ^ 20,
      measured = ("%s (%s keys/s)"):format(megabytes(more), measure.rate(5 * million / time)),
    }
  end
  return rows
end

local function parts(ctx, path, mode)
  if mode == "floor" then return base(ctx, path) end
  return child(ctx, path, mode)
end

return { run = run, part = parts }
