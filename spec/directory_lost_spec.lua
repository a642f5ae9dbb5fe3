-- A directory on a shard that takes one statement at a time, when the answer of a statement is lost: whichever it is,
-- whether it was done, was not, or is done only later, what comes out is what comes out without it.

local core = require "collegedb.core"
local directory = require "collegedb.directory"
local errors = require "collegedb.errors"
local calls = require "spec.support.directory_calls"
local fixture = require "spec.support.fixture"
local single_store = require "collegedb.single_store"

local READS <const> = "^%s*SELECT"

-- A shard whose n-th write's answer is lost. `how`: it was "done", or "never", or "late", after the next statement.
local function lossy(shard, fault)
  local function call(method, sql, params)
    local results = table.pack(pcall(shard[method], shard, sql, params))
    if fault.late then
      local late = fault.late
      fault.late = nil
      pcall(shard.run, shard, late[1], late[2])
    end
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end
  return setmetatable({}, { __index = function(_, method)
    return function(_, sql, params)
      if sql:find(READS) then return call(method, sql, params) end
      fault.writes = fault.writes + 1
      if fault.writes ~= fault.at then return call(method, sql, params) end
      if fault.how == "done" then call(method, sql, params) end
      if fault.how == "late" then fault.late = { sql, params } end
      errors.raise("OUTCOME_UNKNOWN", nil, "the answer was lost")
    end
  end })
end

local new_store = single_store.new

-- Runs `f` with the fault; returns whether it came to it.
local function with_fault(at, how, f)
  local fault = { at = at, how = how, writes = 0 }
  single_store.new = function(shard)
    local store = new_store(shard)
    store.shard = lossy(shard, fault)
    return store
  end
  local done, err = pcall(f)
  single_store.new = new_store
  assert(done, ("%s, answer %d: %s"):format(how, at, tostring(err)))
  return fault.writes >= at
end

local TABLES <const> = { "entries", "shards", "placements", "homes", "schema", "jobs", "takes", "conflicts" }

local function rows(shard, name)
  local list = {}
  for row in shard:each("SELECT * FROM _collegedb_" .. name) do
    local parts = {}
    for column, value in pairs(row) do parts[#parts + 1] = ("%s=%q"):format(column, value) end
    table.sort(parts)
    list[#list + 1] = table.concat(parts, " ")
  end
  table.sort(list)
  return list
end

-- What is in the directory, less what is of a moment.
local function dump()
  local shard, out = core.sqlite(fixture.path "directory.db", {}), {}
  for _, name in ipairs(TABLES) do out[name] = rows(shard, name) end
  out.counters = {}
  for row in shard:each "SELECT name, value FROM _collegedb_counters WHERE name NOT IN ('identity', 'move')" do
    out.counters[row.name] = row.value
  end
  core.close(shard)
  return out
end

local function remove()
  for _, name in ipairs(fixture.files()) do os.remove(fixture.path(name)) end
end

-- Sweeps over the writes of `f`, all or every `step`-th one. `f` finds no files each time, and returns what is to be
-- the same.
---@param step integer?
local function sweep(f, step)
  local expected, seen
  with_fault(0, "done", function() expected = f() end)
  seen = dump()
  for _, how in ipairs { "done", "never", "late" } do
    local at = 1
    repeat
      remove()
      local answer
      local came = with_fault(at, how, function() answer = f() end)
      assert.same(expected, answer, ("%s, answer %d"):format(how, at))
      assert.same(seen, dump(), ("%s, answer %d"):format(how, at))
      at = at + (step or 1)
    until not came
  end
  remove()
end

local function open_shard()
  return core.sqlite(fixture.path "directory.db", { name = "directory.db", single = true, synchronous = "off" })
end

local function with_directory(f)
  return function()
    local shard = open_shard()
    local dir = directory.open(shard)
    local done, answer = pcall(f, dir)
    dir:close()
    core.close(shard)
    if not done then error(answer, 0) end
    return answer
  end
end

describe("a lost answer", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("to a change of single entries changes nothing of what comes out", function()
    sweep(with_directory(function(dir) return (calls.single(dir)) end))
  end)

  it("to a change of many entries changes nothing of what comes out", function()
    sweep(with_directory(calls.many))
  end)

  local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"

  -- The story of a database, in which each part of the directory is used.
  local function story(strategy)
    local handle = open_shard()
    for i, name in ipairs { "a", "b" } do
      local file = core.sqlite(fixture.path(name .. ".db"), { journal_mode = "delete" })
      file:exec(SCHEMA)
      for k = i * 20, i * 20 + 14 do file:run("INSERT INTO users VALUES (?, ?)", { "old" .. k, i }) end
      core.close(file)
    end
    local off = { synchronous = "off" }
    local config = fixture.config { kv = handle, strategy = strategy, shards = { a = off, b = off } }
    local db = require("collegedb").open(config)
    local done, answer = pcall(function()
      db:ensure_schema(SCHEMA)
      for i = 1, 6 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
      local moved = db:reassign_shard("k1", db:locate "k1" == "a" and "b" or "a")
      db:rollback "b"
      db:integrate "b"
      db:mapper():set_shard_mapping("mapped", "a")
      db:add_shard { name = "c", fixture.path "c.db", synchronous = "off" }
      for i = 7, 9 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
      local report = db:rebalance()
      local drained = db:drain "a"
      local verified = db:verify()
      local total, counts = db:count "users"
      return { moved = moved.moved, moves = report.moved, retired = report.retired, sealed = drained.sealed,
        findings = verified.findings, total = total, counts = counts }
    end)
    db:close()
    core.close(handle)
    if not done then error(answer, 0) end
    return answer
  end

  -- CDB_LOST_STEP=1 looks at every one.
  for _, strategy in ipairs { "hash", "round_robin" } do
    it("changes nothing of the story of a database under " .. strategy, function()
      sweep(function() return story(strategy) end, tonumber(os.getenv "CDB_LOST_STEP" or 41))
    end)
  end
end)
