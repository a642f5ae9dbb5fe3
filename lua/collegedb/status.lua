--- How a set-up is just now, as data: its shards with keys, bytes and state, the balance, the directory and its epoch,
-- moves, and what programs measure. It only looks (lua/collegedb/look.lua): nothing is changed, and programs go on.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local look = require "collegedb.look"
local problems = require "collegedb.seen_problems"
local programs = require "collegedb.seen_programs"
local seen_moves = require "collegedb.seen_moves"
local statistics = require "collegedb.statistics"
local stats = require "collegedb.stats"

local status = {}

local FRESH <const> = 10 -- seconds that counts may be old, and as often as it takes to count
local PATIENCE <const> = 20
local LISTED <const> = 20 -- moves

---@class collegedb.ShardStatus
---@field binding string its name
---@field count integer? keys that live there; nil where it is not reached
---@field size integer? bytes
---@field entries integer? of the directory, that name it
---@field state "open"|"full"|"no new keys"|"draining"|"closed"|"new"|"unreachable"
---@field integrated boolean its rows are taken over
---@field conflicts integer? that its integration met
---@field external_writers boolean?
---@field region string?
---@field weight number
---@field latency number? ms, of one small read just now
---@field read collegedb.Histogram? what running programs measure, without the buckets
---@field write collegedb.Histogram?
---@field errors integer? statements that failed
---@field error { code: string, message: string }? why it is not reached, or could not be counted

---@class collegedb.Status
---@field at integer unix seconds
---@field counted integer unix seconds, when keys and bytes were counted
---@field healthy boolean every shard and the directory are there, no move waits for its end, and there are no problems
---@field problems collegedb.SeenProblem[]
---@field shards collegedb.ShardStatus[]
---@field keys integer
---@field size integer bytes
---@field balance { keys: collegedb.Balance?, bytes: collegedb.Balance? }
---@field directory { name: string, new: boolean?, epoch: integer?, entries: integer?,
--- retiring: integer?, stays: boolean, error: { code: string, message: string }? }
---@field moves { live: integer, waiting: integer, list: collegedb.SeenMove[] } waiting: without a program
---@field programs { count: integer?, names: string? } that have the database open
---@field statistics { source: "programs"|"probe", programs: integer, since: integer?, cache: table?,
--- reads: integer, writes: integer, errors: integer, read: collegedb.Histogram?, write: collegedb.Histogram? }

---@class collegedb.Balance
---@field shard string the one that has most for its weight
---@field ratio number its part over the part that its weight gives it: 1.0 is even

---@class collegedb.StatusReader
local Reader = {}
Reader.__index = Reader

---@param settings table a normalized config
---@param tell fun(what: string, of: integer)? is told what the first look waits for
---@return collegedb.StatusReader
function status.new(settings, tell)
  return setmetatable({ settings = settings, counts = {}, tell = tell or function() end }, Reader)
end

local function plain(err) return err and { code = err.code, message = err.message } or nil end

-- --- counting --------------------------------------------------------------------------------

-- Parts of the count, of all shards at once; what fails is told with the shard.
local function count_keys(self, reached)
  local calls, of = {}, {}
  for _, each in ipairs(reached) do
    self.counts[each.shard.name] = { keys = 0 }
    for _, sql in ipairs(stats.key_queries(self.seen.state, each.index)) do
      calls[#calls + 1], of[#calls + 1] = { each.shard.inner, sql }, each
    end
  end
  local rows, failed = core.together(calls, "first")
  for i, each in ipairs(of) do
    if failed[i] and not errors.is_error(failed[i]) then error(failed[i], 0) end -- Ctrl-C
    local count = self.counts[each.shard.name]
    count.keys = count.keys and rows[i] and count.keys + rows[i].n or nil
    count.error = count.error or failed[i] or nil
  end
end

local function count(self)
  local began, reached = core.now(), {}
  for _, each in ipairs(self.seen.shards) do
    if each.index and not each.error then reached[#reached + 1] = each end
  end
  local far = 0
  for _, each in ipairs(reached) do far = far + (each.shard.value.remote and 1 or 0) end
  if far > 0 then self.tell("counting keys", far) end
  count_keys(self, reached)
  for _, each in ipairs(reached) do
    local size, err = look.tried(each.shard.handle.size, each.shard.handle)
    local known = self.counts[each.shard.name]
    known.size, known.error = size, known.error or err
  end
  local directory = self.seen.state.epoch and self.seen.directory
  self.entries = directory and look.tried(directory.counts, directory) or nil
  self.counted, self.counted_at, self.took = core.now(), os.time(), core.now() - began
end

local function count_when_due(self)
  local due = math.max(FRESH * 1000, (self.took or 0) * PATIENCE)
  local age = self.counted and core.now() - self.counted
  local missing = false
  for _, each in ipairs(self.seen.shards) do
    missing = missing or (each.index and not each.error and not self.counts[each.shard.name])
  end
  if not age or age >= due or missing then count(self) end
end

-- --- shards -----------------------------------------------------------------------------------

local function state_of(self, each)
  local shard, epoch = each.shard, self.seen.state.epoch
  if each.error then return "unreachable" end
  if each.new or not each.index then return "new" end
  if epoch and epoch.sealed[each.index] then return "closed" end
  if epoch and epoch.drained[each.index] then return "draining" end
  if not shard.allocate then return "no new keys" end
  local known = self.counts[shard.name]
  return shard.max_size and known and (known.size or 0) >= shard.max_size and "full" or "open"
end

local function describe(self, each)
  local shard, epoch = each.shard, self.seen.state.epoch
  local known = each.index and self.counts[shard.name] or {}
  local index = each.registered and each.index
  local broken, none = each.error ~= nil, each.new and 0 or nil
  return {
    binding = shard.name, region = shard.region, weight = shard.weight, latency = not broken and each.latency or nil,
    external_writers = shard.external_writers, state = state_of(self, each),
    error = plain(each.error or known.error),
    count = not broken and known.keys or none, size = not broken and known.size or none,
    integrated = index and epoch and epoch.integrated[index] or false,
    conflicts = index and epoch and epoch.conflicts[index] or nil,
    entries = shard.id and self.entries and (self.entries[shard.id] or 0) or nil,
    last_updated = self.counted_at * 1000,
  }
end

-- By state: these are to have no keys.
status.TAKES_NONE = { ["no new keys"] = true, draining = true, closed = true }

--- Of those that may get keys and are there: who has most for its weight.
---@param list { binding: string, state: string, weight: number }[]
---@param field string the name of the number that is compared
---@return collegedb.Balance? # nil where there is nothing
function status.balance(list, field)
  local total, weights, most, name = 0, 0, nil, nil
  for _, each in ipairs(list) do
    if each[field] and not status.TAKES_NONE[each.state] then
      total, weights = total + each[field], weights + each.weight
      local part = each[field] / each.weight
      if not most or part > most then most, name = part, each.binding end
    end
  end
  if total == 0 then return nil end
  return { shard = name, ratio = most * weights / total }
end

-- --- what programs measure -----------------------------------------------------------------------

local function without_buckets(histogram)
  return { count = histogram.count, p50 = histogram.p50, p90 = histogram.p90, p99 = histogram.p99,
    max = histogram.max }
end

local function add_statistics(self, out)
  local folder, names, by_name = self.settings.statistics_dir, {}, {}
  for i, each in ipairs(out.shards) do names[i], by_name[each.binding] = each.binding, each end
  local all = folder and statistics.of_folder(folder, names)
  out.statistics = { source = "probe", programs = 0, reads = 0, writes = 0, errors = 0, enabled = folder ~= nil }
  if not all or all.programs == 0 then return end
  local sum = { source = "programs", programs = all.programs, since = all.since, cache = all.cache, reads = 0,
    writes = 0, errors = 0, enabled = true }
  for i, each in ipairs(all.shards) do
    sum.reads, sum.writes, sum.errors = sum.reads + each.reads, sum.writes + each.writes, sum.errors + each.errors
    sum.read = i == 1 and each.read or statistics.sum(sum.read, each.read)
    sum.write = i == 1 and each.write or statistics.sum(sum.write, each.write)
    local shard = by_name[each.name]
    if shard then
      shard.read, shard.write = without_buckets(each.read), without_buckets(each.write)
      shard.reads, shard.writes, shard.errors = each.reads, each.writes, each.errors
    end
  end
  sum.read, sum.write = without_buckets(sum.read), without_buckets(sum.write)
  out.statistics = sum
end

-- --- the directory and its moves --------------------------------------------------------------------

local function add_directory(self, out)
  local seen, kv = self.seen, self.settings.kv
  local epoch, total = seen.state.epoch, self.entries and 0
  local newest = epoch and epoch.placements[1] -- none yet where who made the directory was killed doing so
  for _, n in pairs(self.entries or {}) do total = total + n end
  out.directory = { name = type(kv) == "table" and not getmetatable(kv) and "a table KV" or tostring(kv),
    new = seen.is_new or nil, epoch = epoch and epoch.number, entries = total or nil,
    retiring = epoch and math.max(#epoch.placements - 1, 0),
    -- A strategy without homes gives no home to keys that were placed before, so the last placement with homes stays.
    stays = newest and newest.claims or false }
  for _, problem in ipairs(seen.problems) do
    if problem.about == "directory" then out.directory.error = plain(problem.error) end
  end
end

local function add_moves(self, out)
  local list, err = look.tried(seen_moves.read, self.seen)
  out.moves = { live = 0, waiting = 0, list = {} }
  for i, move in ipairs(list or {}) do
    local kind = move.live and "live" or "waiting"
    out.moves[kind] = out.moves[kind] + 1
    if i <= LISTED then out.moves.list[i] = move end
  end
  if err and not out.directory.error then out.directory.error = plain(err) end
end

local function add_programs(self, out)
  local list = look.tried(programs.read, self.seen.directory)
  out.programs = json.object { count = list and #list, names = list and #list > 0 and programs.names(list) or nil }
end

-- --- all of it ---------------------------------------------------------------------------------------

--- How it is now. Keys and bytes are at most ten seconds old.
---@return collegedb.Status
function Reader:read()
  if self.seen and not self.seen:refresh() then
    self.seen:close()
    self.seen = nil
  end
  self.seen = self.seen or look.open(self.settings, self.tell)
  count_when_due(self)
  local out = { at = os.time(), counted = self.counted_at, shards = {}, keys = 0, size = 0 }
  for i, each in ipairs(self.seen.shards) do
    out.shards[i] = describe(self, each)
    out.keys, out.size = out.keys + (out.shards[i].count or 0), out.size + (out.shards[i].size or 0)
  end
  out.balance = json.object { keys = status.balance(out.shards, "count"), bytes = status.balance(out.shards, "size") }
  add_directory(self, out)
  add_moves(self, out)
  add_programs(self, out)
  add_statistics(self, out)
  out.problems = problems.read(self.seen)
  out.healthy = not out.directory.error and out.moves.waiting == 0 and #out.problems == 0
  for _, each in ipairs(out.shards) do out.healthy = out.healthy and not each.error end
  return out
end

function Reader:close()
  if self.seen then self.seen:close() end
  self.seen = nil
end

return status
