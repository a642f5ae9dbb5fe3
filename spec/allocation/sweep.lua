-- One attempt at a scenario with memory that runs out at the n-th allocation, and all attempts of a sweep.
--
-- Two processes take part: the one that is starved, and one that looks at the files while the first still has them
-- open, and again at the end.

local errors = require "collegedb.errors"
local forks = require "forks"
local lfs = require "lfs"
local scarcity = require "scarcity"
local scenarios = require "spec.allocation.scenarios"
local World = require "spec.allocation.world"

local sweep = {}

---How memory runs out.
sweep.ways = {
  { name = "once" }, -- of Lua's, also what it asks for after collecting its garbage
  { name = "once, until garbage was collected", of = "lua", gently = true },
  { name = "from then on", lasting = true },
  { name = "of SQLite from then on", of = "sqlite", lasting = true },
  { name = "of SQLite and C from then on", of = "sqlite own libc", lasting = true },
  { name = "of C, once", of = "own libc" },
  { name = "of C from then on", of = "own libc", lasting = true },
}

local function open_files()
  local list = {}
  for name in lfs.dir "/proc/self/fd" do
    local target = lfs.symlinkattributes("/proc/self/fd/" .. name, "target")
    if target and not target:find "/proc/%d+/fd$" then list[#list + 1] = target end
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function collect()
  for _ = 1, 4 do collectgarbage() end
end

-- An error of ours, or Lua's; `require` does not tell a file that it has no memory to open from one that is not there.
local function check_clean(err, allowed)
  if errors.is_error(err, "NOMEM") or errors.is_memory(err) then return end
  local text = tostring(err)
  if text:find "module '[%w_.]+' not found:" or text:find "^error loading module" then return end
  if allowed and errors.is_error(err) and allowed[err.code] then return end
  error("no clean error: " .. tostring(err) .. (errors.is_error(err) and " " .. tostring(err.cause) or ""), 0)
end

local function step(name, f, ...)
  local results = table.pack(pcall(f, ...))
  if not results[1] then error(name .. ": " .. tostring(results[2]), 0) end
  return table.unpack(results, 2, results.n)
end

-- Raises what is wrong; returns the number of allocations, and whether one was refused.
local function attempt(w, scenario, way, n, ask)
  collect()
  local files, own, bytes = open_files(), scarcity.live()
  local db = not scenario.opens and w:open() or nil
  if scenario.warm then scenario.warm(w, db) end
  local done, result, count, struck, who = scarcity.call({ at = n, of = way.of, lasting = way.lasting,
    gently = way.gently }, scenario.run, w, db)
  if scenario.opens then db = done and result or w.raised end
  if not done then
    if struck == 0 then error(result, 0) end
    check_clean(result, scenario.allowed)
    if scenario.opens then collect() end -- what was being opened belongs to nobody
  elseif scenario.check then
    step("the result", scenario.check, w, result)
  end
  result = nil -- luacheck: ignore 311
  if scenario.closes then
    if done then assert(not require("collegedb.core").is_open(db), "it is open") end
    db:close()
    db = nil
  end
  local answer = ask()
  if db and scenario.alters and answer:find "BUSY" then -- see `stuck` in src/shard/sqlite.c: until the next call
    db:run_all_shards "SELECT 1"
    db:locate("nobody" .. n)
    answer = ask()
  end
  if answer ~= "ok" then error("another process: " .. answer, 0) end
  if not db then db = step("opening again", w.open, w) end
  if scenario.after then step("afterwards", scenario.after, w, db, done) end
  if #w.keys > 0 then step("all keys", scenarios.expect_all, w, db) end
  step("closing", db.close, db)
  w.raised, db = nil, nil -- luacheck: ignore 311
  local left = open_files()
  if left ~= files then error("left open: " .. left, 0) end
  collect()
  local own_now, bytes_now = scarcity.live()
  if own_now ~= own then
    scarcity.tell()
    error(("%d blocks of own memory are left"):format(own_now - own), 0)
  end
  if bytes_now ~= bytes then error(("%d bytes of SQLite's are left"):format(bytes_now - bytes), 0) end
  return count, struck, who
end

-- Another program opens the files, finds nothing wrong in them and may write.
local function look(w, scenario)
  local db <close> = w:open { auto_migrate = false }
  if #w.keys == 0 then return end
  for _, key in ipairs(w.keys) do
    db:run(key, "UPDATE users SET n = 1 WHERE id = ?", { key })
  end
  if scenario.old or scenario.wide then return end -- not integrated, or half
  local report = db:verify()
  for kind, count in pairs(report.counts) do
    if count > 0 and not (scenario.findings and scenario.findings[kind]) then
      error(("verify: %d %s"):format(count, kind), 0)
    end
  end
end

local function starve(w, scenario, way, n)
  return function(from, to)
    local function ask()
      to:write "held\n"
      to:flush()
      return from:read "l"
    end
    local done, count, struck, who = pcall(attempt, w, scenario, way, n, ask)
    if not done and os.getenv "CDB_TELL" then scarcity.tell() end
    if done then to:write(("%d %d %s\n"):format(count, struck, who or "-")) else to:write(tostring(count), "\n") end
    to:flush()
    return done and 0 or 1
  end
end

---One attempt. Raises what is wrong.
---@return integer count, integer struck, string who
function sweep.try(w, scenario, way, n)
  w:reset()
  local pid, from, to = forks.start(starve(w, scenario, way, n))
  local text = from:read "l"
  while text == "held" do
    local done, err = pcall(look, w, scenario)
    to:write(done and "ok" or tostring(err):gsub("\n", " "), "\n")
    to:flush()
    text = from:read "l"
  end
  from:close()
  to:close()
  local status = forks.wait(pid)
  if status ~= 0 then error(("status %d: %s"):format(status, text), 0) end
  local wrong = w:wrong_rows()
  if #wrong > 0 then error(table.concat(wrong, "; "), 0) end
  local count, struck, who = text:match "(%d+) (%d+) (%S+)"
  return tonumber(count), tonumber(struck), who
end

---All attempts, or `limit` of them, evenly spread.
---@param limit integer 0: all
---@param seed integer which
---@return { points: integer, calls: integer, refused: table<string, integer>, failed: string[] }
function sweep.run(scenario, way, limit, seed, tell)
  local counts = { points = 0, refused = {}, failed = {} }
  local w <close> = setmetatable({}, { __close = function(self) self.one:remove() end })
  w.one = World.new(scenario)
  counts.calls = sweep.try(w.one, scenario, way, 0)
  local every = limit == 0 and 1 or math.max(1, counts.calls // limit)
  -- One time differs from another by a few, so that the end is where nothing was refused.
  for n = 1 + seed % every, counts.calls + 200, every do
    local done, count, struck, who = pcall(sweep.try, w.one, scenario, way, n)
    if done and struck == 0 then break end
    counts.points = counts.points + 1
    if done then
      counts.refused[who] = (counts.refused[who] or 0) + 1
    else
      table.insert(counts.failed, ("%s, %s, at %d: %s"):format(scenario.name, way.name, n, tostring(count)))
      tell(counts.failed[#counts.failed])
    end
  end
  return counts
end

return sweep
