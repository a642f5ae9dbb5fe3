--- Are the shards there, and how quick are they now?

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local statistics = require "collegedb.statistics"

local health = {}

---@class collegedb.Health
---@field reachable boolean
---@field latency number? ms that a small read took just now
---@field error collegedb.Error? why it is not reachable
---@field errors integer statements of this program that failed there
---@field p50 number? ms that this program's statements took
---@field p99 number?

-- Reads the file's first page, of D1 the schema.
local LOOK <const> = "SELECT 1 AS yes FROM sqlite_schema LIMIT 1"

local function milliseconds(seconds) return seconds and seconds * 1000 end

-- Reads and writes together.
local function both(shard)
  local read, write = shard.read, shard.write
  if read.count == 0 or write.count == 0 then return read.count == 0 and write or read end
  return statistics.sum(read, write)
end

-- A file that was removed can still be read by those who have it open.
local function missing(shard)
  local path = shard.real_path -- the program may have gone to another folder
  if not path or core.file_id(path) then return end
  return errors.new("UNAVAILABLE", ("there is no file %s any more"):format(path), { shard = shard.name })
end

local function counts_by_name(db)
  local by_name = {}
  for _, each in ipairs(statistics.of(db).shards) do by_name[each.name] = each end
  return by_name
end

--- Reads a little from every shard; those that are far away are asked at once. It raises nothing because a shard is
-- not reachable.
---@param db userdata
---@return table<string, collegedb.Health> by shard
function health.of(db)
  local asked, calls, out = {}, {}, {}
  -- A copy: shards may be added while those that are far away are asked.
  for i, shard in ipairs(core.state(db).shards) do asked[i], calls[i] = shard, { shard.inner, LOOK } end
  local answers, failed = core.together(calls, "run")
  local counts = counts_by_name(db)
  for i, shard in ipairs(asked) do
    local counted = counts[shard.name]
    local took = both(counted)
    local err = failed[i] or missing(shard)
    if err and not errors.is_error(err) then error(err, 0) end -- Ctrl-C
    out[shard.name] = {
      reachable = not err, error = err or nil, latency = answers[i] and not err and answers[i].meta.duration or nil,
      errors = counted.errors, p50 = milliseconds(took.p50), p99 = milliseconds(took.p99),
    }
  end
  return out
end

return health
