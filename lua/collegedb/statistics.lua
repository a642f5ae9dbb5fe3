--- What this program, or all that share a folder, did on each shard: counts, and how long it took.
-- Counted in C (src/bind/meter.c).

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local json = require "collegedb.json"

local statistics = {}

---@class collegedb.Histogram
---@field count integer
---@field sum number seconds
---@field max number? seconds
---@field p50 number? seconds; to within an eighth, as the others
---@field p90 number?
---@field p99 number?
---@field buckets { from: number, to: number, count: integer }[] seconds; ascending, only those with a count

---@class collegedb.ShardStatistics
---@field name string
---@field reads integer statements that ran
---@field writes integer
---@field errors integer
---@field errors_by_code table<string, integer>
---@field slow integer statements that took longer than the config's slow_query
---@field forwarded integer statements that met nothing, or were refused, because their key had moved: done elsewhere
---@field read collegedb.Histogram
---@field write collegedb.Histogram

---@class collegedb.Statistics
---@field programs integer how many instances' numbers these are
---@field since integer Unix seconds: when the first of them was opened
---@field cache table hits, misses, hit_rate, entries, evictions, capacity, bytes
---@field shards collegedb.ShardStatistics[] in config order

--- The duration that a share of them does not exceed; evenly spread inside a bucket.
---@param histogram collegedb.Histogram
---@param share number 0…1
---@return number? seconds
function statistics.quantile(histogram, share)
  local rank, before = share * histogram.count, 0
  for _, each in ipairs(histogram.buckets) do
    if before + each.count >= rank then
      local inside = (rank - before) / each.count
      return math.min(each.from + (each.to - each.from) * inside, histogram.max)
    end
    before = before + each.count
  end
end

local function add_quantiles(histogram)
  for name, share in pairs { p50 = 0.5, p90 = 0.9, p99 = 0.99 } do
    histogram[name] = statistics.quantile(histogram, share)
  end
end

-- Adds what stands in the second to the first; both in C's shape.
local function add_histogram(to, more)
  local by_start = {}
  for _, each in ipairs(to.buckets) do by_start[each.from] = each end
  for _, each in ipairs(more.buckets) do
    local known = by_start[each.from]
    if known then
      known.count, known.to = known.count + each.count, math.max(known.to, each.to)
    else
      to.buckets[#to.buckets + 1] = each
    end
  end
  table.sort(to.buckets, function(a, b) return a.from < b.from end)
  to.count, to.sum = to.count + more.count, to.sum + more.sum
  to.max = to.max and more.max and math.max(to.max, more.max) or to.max or more.max
end

--- Two of them as one, with its quantiles.
---@param a collegedb.Histogram
---@param b collegedb.Histogram
---@return collegedb.Histogram
function statistics.sum(a, b)
  local total = { count = 0, sum = 0, buckets = {} }
  for _, part in ipairs { a, b } do
    local copy = { count = part.count, sum = part.sum, max = part.max, buckets = {} }
    for i, each in ipairs(part.buckets) do
      copy.buckets[i] = { from = each.from, to = each.to, count = each.count }
    end
    add_histogram(total, copy)
  end
  add_quantiles(total)
  return total
end

local COUNTS <const> = { "reads", "writes", "errors", "slow", "forwarded" }
local CACHE_COUNTS <const> = { "hits", "misses", "evictions", "entries", "capacity", "bytes" }

local function add_shard(to, more)
  for _, name in ipairs(COUNTS) do to[name] = to[name] + more[name] end
  for code, n in pairs(more.errors_by_code) do to.errors_by_code[code] = (to.errors_by_code[code] or 0) + n end
  add_histogram(to.read, more.read)
  add_histogram(to.write, more.write)
end

-- Shards that only another program has come last.
local function add_program(to, more)
  local by_name = {}
  for _, each in ipairs(to.shards) do by_name[each.name] = each end
  for _, each in ipairs(more.shards) do
    if by_name[each.name] then add_shard(by_name[each.name], each) else to.shards[#to.shards + 1] = each end
  end
  for _, name in ipairs(CACHE_COUNTS) do to.cache[name] = to.cache[name] + more.cache[name] end
  to.since, to.programs = math.min(to.since, more.since), to.programs + 1
end

local function check_options(opts)
  if opts == nil then return false end
  if type(opts) ~= "table" then
    errors.raise("USAGE", nil, "statistics take a table of options, not a %s", type(opts))
  end
  for name, value in pairs(opts) do
    if name ~= "all" then errors.raise("USAGE", nil, "statistics have no option %s: there is all", tostring(name)) end
    if type(value) ~= "boolean" then errors.raise("USAGE", nil, "the option all takes true or false, not a %s",
      type(value)) end
  end
  return opts.all or false
end

-- The same without a count, for one who only looks.
local function emptied(total)
  total.programs, total.since = 0, os.time()
  for _, name in ipairs(CACHE_COUNTS) do total.cache[name] = 0 end
  for _, shard in ipairs(total.shards) do
    for _, name in ipairs(COUNTS) do shard[name] = 0 end
    shard.errors_by_code = {}
    shard.read, shard.write = { count = 0, sum = 0, buckets = {} }, { count = 0, sum = 0, buckets = {} }
  end
  return total
end

-- Adds the programs of the folder, but for this one's database.
local function add_others(total, folder, db)
  for _, each in ipairs(core.read_statistics(folder, db)) do add_program(total, each) end
end

local function finish(total)
  local looks = total.cache.hits + total.cache.misses
  total.cache.hit_rate = looks > 0 and total.cache.hits / looks or nil
  for _, shard in ipairs(total.shards) do
    json.object(shard.errors_by_code) -- {} also where it is empty
    add_quantiles(shard.read)
    add_quantiles(shard.write)
  end
  return total
end

--- The numbers of all running programs that write them to a folder, for who has no database open.
---@param folder string a `statistics_dir`
---@param names string[] of shards, whose numbers come first
---@return collegedb.Statistics
function statistics.of_folder(folder, names)
  local total = { cache = {}, shards = {} }
  for i, name in ipairs(names) do total.shards[i] = { name = name } end
  add_others(emptied(total), folder)
  return finish(total)
end

--- The numbers of this instance; with `all` those of every running one whose config has the same `statistics_dir`.
---@param db userdata
---@param opts { all: boolean? }?
---@return collegedb.Statistics
function statistics.of(db, opts)
  local all, state, total = check_options(opts), core.state(db), core.statistics(db)
  local folder = state.config.statistics_dir
  total.programs, total.pid = 1, nil
  if all and folder then
    core.show_statistics(db)
    add_others(total, folder, db)
  end
  return finish(total)
end

return statistics
