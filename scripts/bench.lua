-- collegedb bench: what routing costs on this machine, in a temporary folder. The same statements run through the
-- router and on one plain file with all the rows, through the same bindings, in turns; medians are compared.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local host = require "collegedb.host"

local ROUNDS <const> = 9 -- of each kind, routed and bare
local SHARDS <const> = 4
local SYNCHRONOUS <const> = "normal" -- waiting for the disk is the same for both, and would hide the rest
local SCHEMA <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT NOT NULL, age INTEGER NOT NULL)"
local INSERT <const> = "INSERT INTO users (id, name, age) VALUES (?, ?, ?)"

local function key_of(i) return ("user-%08d"):format(i) end
local function row_of(i) return { key_of(i), "Name of user number " .. i, i % 90 } end

-- A folder that goes away with everything in it.
local function temporary_folder()
  local unique = os.tmpname() -- a file of this name is made
  os.remove(unique)
  local path = (os.getenv "TMPDIR" or "/tmp") .. "/collegedb_bench_" .. unique:match "[^/]*$"
  assert(host.make_folder(path))
  return setmetatable({ path = path }, { __close = function()
    for _, name in ipairs(host.list(path) or {}) do os.remove(path .. "/" .. name) end
    os.remove(path)
  end })
end

local function fill(handle, numbers)
  handle:exec(SCHEMA)
  handle:transaction(function(tx)
    for _, i in ipairs(numbers) do tx:run(INSERT, row_of(i)) end
  end)
end

local function open_routed(folder, rows)
  local config = { kv = folder .. "/directory.db", shards = {} }
  for i = 1, SHARDS do
    config.shards[i] = { name = "s" .. i, ("%s/s%d.db"):format(folder, i), synchronous = SYNCHRONOUS }
  end
  local db, by_shard = collegedb.open(config), {}
  for _, name in ipairs(db:list_known_shards()) do by_shard[name] = {} end
  for i = 1, rows do table.insert(by_shard[db:locate(key_of(i))], i) end
  for name, numbers in pairs(by_shard) do fill(db:shard(name), numbers) end
  return db
end

local function open_bare(folder, rows)
  local handle, all = core.sqlite(folder .. "/bare.db", { name = "bare", synchronous = SYNCHRONOUS }), {}
  for i = 1, rows do all[i] = i end
  fill(handle, all)
  return setmetatable({ handle = handle }, { __close = function() core.close(handle) end })
end

-- What is measured, routed and bare: functions that do it once, with a key's number.
local function kinds_of(db, bare, rows)
  local select, update = "SELECT * FROM users WHERE id = ?", "UPDATE users SET age = ? WHERE id = ?"
  local inserted = { routed = rows, bare = rows }
  local function any() return math.random(rows) end
  local function new(way)
    inserted[way] = inserted[way] + 1
    return inserted[way]
  end
  return {
    { what = "read", next = any,
      routed = function(i) db:first(key_of(i), select, { key_of(i) }) end,
      bare = function(i) bare:first(select, { key_of(i) }) end },
    { what = "update", next = any,
      routed = function(i) db:run(key_of(i), update, { any(), key_of(i) }) end, -- the same value would write nothing
      bare = function(i) bare:run(update, { any(), key_of(i) }) end },
    { what = "insert", next = new,
      routed = function(i) db:run(key_of(i), INSERT, row_of(i)) end,
      bare = function(i) bare:run(INSERT, row_of(i)) end },
  }
end

-- Seconds of one call, over `count` of them.
local function measure(kind, way, count)
  local call, numbers = kind[way], {}
  for i = 1, count do numbers[i] = kind.next(way) end
  local start = host.clock()
  for i = 1, count do call(numbers[i]) end
  return (host.clock() - start) / count
end

-- How many calls fill so many seconds; both ways are warm then.
local function calibrate(kind, wanted)
  local count, seconds = 50, 0
  while seconds * count < 0.005 do -- less tells nothing
    count = count * 2
    seconds = math.max(measure(kind, "bare", count), measure(kind, "routed", count))
  end
  return math.max(10, wanted // seconds | 0)
end

local function compare(kind, wanted)
  local count, times = calibrate(kind, wanted), { routed = {}, bare = {} }
  for round = 1, ROUNDS do
    local first, second = "routed", "bare"
    if round % 2 == 0 then first, second = second, first end
    times[first][round] = measure(kind, first, count)
    times[second][round] = measure(kind, second, count)
  end
  table.sort(times.routed)
  table.sort(times.bare)
  local routed, bare = times.routed[ROUNDS // 2 + 1], times.bare[ROUNDS // 2 + 1]
  return { what = kind.what, routed_us = routed * 1e6, bare_us = bare * 1e6, ratio = routed / bare }
end

local function print_results(ctx, report)
  local rows = {}
  for i, each in ipairs(report.results) do
    rows[i] = { what = each.what, routed = ("%.1f µs"):format(each.routed_us),
      ["bare SQLite"] = ("%.1f µs"):format(each.bare_us), ratio = ("%.2f"):format(each.ratio) }
  end
  print(("%d rows on %d shards, against the same rows in one file"):format(report.rows, report.shards))
  ctx.print_table(rows, { "what", "routed", "bare SQLite", "ratio" })
end

return {
  summary = "Measure what routing costs on this machine.",
  description = "It works in a temporary folder, and touches no database of yours. Writes do not wait for the disk.",
  usage = "bench [--rows N] [--seconds S]",
  group = "Looking after it",
  examples = {
    { "collegedb bench --rows 2000 --seconds 0.5", "A short look." },
    { "collegedb bench --rows 2000 --seconds 0.5 --json", "The same, for a program." },
  },
  options = function(parser)
    parser:option("--rows", "How many rows there are."):argname "N":default "100000":convert(math.tointeger)
    parser:option("--seconds", "How long it measures."):argname "S":default "4":convert(tonumber)
  end,
  run = function(ctx)
    local rows, seconds = ctx.args.rows, ctx.args.seconds
    if rows < 100 or rows > 10000000 then ctx.usage_error "--rows takes a number from 100 to 10,000,000" end
    if not (seconds > 0 and seconds <= 3600) then ctx.usage_error "--seconds takes a number above 0, up to 3600" end
    local folder <close> = temporary_folder()
    ctx.progress(0, 4, "writing rows")
    local db <close> = open_routed(folder.path, rows)
    local bare <close> = open_bare(folder.path, rows)
    local report = { rows = rows, shards = SHARDS, rounds = ROUNDS, results = {} }
    for i, kind in ipairs(kinds_of(db, bare.handle, rows)) do
      ctx.progress(i, 4, "measuring " .. kind.what)
      report.results[i] = compare(kind, seconds / (3 * 2 * ROUNDS))
    end
    ctx.progress()
    if ctx.args.json then ctx.print_json(report) else print_results(ctx, report) end
    return 0
  end,
}
