--- The statistics as text in the format of Prometheus
-- (https://prometheus.io/docs/instrumenting/exposition_formats/).

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local statistics = require "collegedb.statistics"

local metrics = {}

-- Ends of the buckets that are told: every second doubling from 1 µs to 69 s, so that each is the end of one of C's.
local FIRST <const>, LAST <const>, STEP <const> = 10, 36, 2

local ESCAPES <const> = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function labels_text(labels)
  local parts = {}
  for i = 1, #labels, 2 do
    parts[#parts + 1] = ('%s="%s"'):format(labels[i], tostring(labels[i + 1]):gsub('[\\"\n]', ESCAPES))
  end
  return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
end

local function value_text(value)
  return math.type(value) == "integer" and ("%d"):format(value) or ("%.9g"):format(value)
end

-- A page: add(name, kind, help) begins a metric, each call of what it returns is a line.
local function new_page()
  local lines = {}
  local function metric(name, kind, help)
    lines[#lines + 1] = ("# HELP %s %s"):format(name, help)
    lines[#lines + 1] = ("# TYPE %s %s"):format(name, kind)
    return function(value, labels, suffix)
      lines[#lines + 1] = ("%s%s%s %s"):format(name, suffix or "", labels_text(labels or {}), value_text(value))
    end
  end
  return metric, lines
end

local function nanoseconds(seconds) return math.floor(seconds * 1e9 + 0.5) end

local function add_histogram(add, histogram, labels)
  local so_far, next_bucket, buckets = 0, 1, histogram.buckets
  local with_end = table.move(labels, 1, #labels, 1, {})
  with_end[#labels + 1] = "le"
  for power = FIRST, LAST, STEP do
    local ends = 1 << power
    while buckets[next_bucket] and nanoseconds(buckets[next_bucket].from) < ends do
      so_far, next_bucket = so_far + buckets[next_bucket].count, next_bucket + 1
    end
    with_end[#labels + 2] = ("%.9g"):format(ends / 1e9)
    add(so_far, with_end, "_bucket")
  end
  with_end[#labels + 2] = "+Inf"
  add(histogram.count, with_end, "_bucket")
  add(histogram.sum, labels, "_sum")
  add(histogram.count, labels, "_count")
end

local KINDS <const> = { { "read", "reads" }, { "write", "writes" } }

local function add_statements(metric, shards)
  local add = metric("collegedb_statements_total", "counter", "Statements that ran, by shard and kind.")
  for _, shard in ipairs(shards) do
    for _, kind in ipairs(KINDS) do add(shard[kind[2]], { "shard", shard.name, "kind", kind[1] }) end
  end
  add = metric("collegedb_statement_duration_seconds", "histogram",
    "How long statements took; of a busy program a sample stands for those around it.")
  for _, shard in ipairs(shards) do
    for _, kind in ipairs(KINDS) do add_histogram(add, shard[kind[1]], { "shard", shard.name, "kind", kind[1] }) end
  end
  add = metric("collegedb_slow_statements_total", "counter", "Statements that took longer than slow_query.")
  for _, shard in ipairs(shards) do add(shard.slow, { "shard", shard.name }) end
  add = metric("collegedb_forwarded_statements_total", "counter",
    "Statements whose key had moved away, and that were done at its new shard.")
  for _, shard in ipairs(shards) do add(shard.forwarded, { "shard", shard.name }) end
end

local function add_errors(metric, shards)
  local add = metric("collegedb_errors_total", "counter", "Statements that failed, by shard and code.")
  for _, shard in ipairs(shards) do
    local codes = {}
    for code in pairs(shard.errors_by_code) do codes[#codes + 1] = code end
    table.sort(codes)
    for _, code in ipairs(codes) do add(shard.errors_by_code[code], { "shard", shard.name, "code", code }) end
  end
end

local function add_cache(metric, cache)
  metric("collegedb_cache_hits_total", "counter", "Keys whose shard the mapping cache knew.")(cache.hits)
  metric("collegedb_cache_misses_total", "counter", "Keys that had to be resolved.")(cache.misses)
  metric("collegedb_cache_evictions_total", "counter", "Mappings that were forgotten to make room.")(cache.evictions)
  metric("collegedb_cache_entries", "gauge", "Mappings in the cache.")(cache.entries)
  metric("collegedb_cache_capacity_entries", "gauge", "Mappings that the cache has room for.")(cache.capacity)
  metric("collegedb_cache_bytes", "gauge", "Memory that the cache takes.")(cache.bytes)
end

-- What is known without asking anybody far away. A value that can not be had now is left out.
local function add_state(metric, state)
  if state.epoch then
    metric("collegedb_epoch", "gauge", "The number of the epoch in which this program works.")(state.epoch.number)
    metric("collegedb_retiring_placements", "gauge", "Earlier placements in which keys are still looked for.")(
      #state.epoch.placements - 1)
  end
  local add = metric("collegedb_shard_size_bytes", "gauge", "Size of the shards that are files.")
  for _, shard in ipairs(state.shards) do
    local done, size = pcall(function() return core.kind(shard.inner) == "sqlite" and shard.handle:size() end)
    if not done and not errors.is_error(size) then error(size, 0) end -- Ctrl-C
    if done and size then add(size, { "shard", shard.name }) end
  end
end

--- The text.
---@param totals collegedb.Statistics
---@param state collegedb.State its epoch is missing where the directory is not reached
---@return string
function metrics.text(totals, state)
  local metric, lines = new_page()
  metric("collegedb_build_info", "gauge", "The version of CollegeDB; always 1.")(1, { "version", core.version })
  metric("collegedb_programs", "gauge", "Instances whose numbers these are.")(totals.programs)
  metric("collegedb_opened_timestamp_seconds", "gauge", "When the first of them was opened.")(totals.since)
  add_statements(metric, totals.shards)
  add_errors(metric, totals.shards)
  add_cache(metric, totals.cache)
  add_state(metric, state)
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

--- The text, of this program; with `all` of every running one of the same `statistics_dir`.
---@param db userdata
---@param opts { all: boolean? }?
---@return string
function metrics.of(db, opts) return metrics.text(statistics.of(db, opts), core.state(db)) end

return metrics
