-- A program that does what it is told, one operation at a time, and says what came of it.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local faultvfs = require "faultvfs"
local forks = require "forks"
local move = require "collegedb.workflows.move"
local statements = require "spec.property.statements"
local wire = require "spec.property.wire"

local worker = {}

local Worker = {}
Worker.__index = Worker

-- --- the database -----------------------------------------------------------------------------

---@return table # a shard value
local function value_of(self, name)
  local value = collegedb.sqlite(self.folder .. "/" .. name .. ".db")
  value.single = self.setup.single[name]
  return value
end

function Worker:shard(name)
  local setup = self.setup
  return { name = name, value_of(self, name), weight = setup.weights[name], region = setup.regions[name],
    external_writers = name == setup.external or nil, journal_mode = setup.journal_mode, busy_timeout = 1 }
end

function Worker:config()
  local setup = self.setup
  local config = { kv = value_of(self, "directory"), auto_migrate = false, shards = {}, strategy = setup.strategy,
    directory = setup.directory, mapping_cache_ttl = setup.ttl, mapping_cache_size = setup.cache,
    consistency = setup.consistency, check_keys = setup.check_keys, target_region = "weur", move_deadline = 8 }
  for i, name in ipairs(setup.shards) do config.shards[i] = self:shard(name) end
  return config
end

function Worker:open()
  self.db = collegedb.open(self:config())
  local done, err = pcall(self.enforce, self)
  if done then return end
  self.db:close()
  self.db = nil
  error(err, 0)
end

-- Foreign keys are a setting of each connection; also to shards that others have added.
function Worker:enforce()
  if not self.setup.enforced then return end
  self.db:run_all_shards "SELECT 1"
  for _, name in ipairs(self.db:list_known_shards()) do
    if not self.setup.single[name] then self.db:shard(name):exec "PRAGMA foreign_keys = ON" end
  end
end

-- --- calls --------------------------------------------------------------------------------------

local function plain(result) return { rows = result.results, changes = result.meta.changes } end

local hows = {}

for _, name in ipairs { "run", "insert", "select_by_primary_key", "update_by_primary_key", "delete_by_primary_key" } do
  hows[name] = function(db, ...) return plain(db[name](db, ...)) end
end

function hows.first(db, ...) return { rows = { (db:first(...)) } } end
function hows.all(db, ...) return { rows = db:all(...) } end

function hows.each(db, ...)
  local rows = {}
  for row in db:each(...) do rows[#rows + 1] = row end
  return { rows = rows }
end

-- A loop that is left after its first row.
function hows.half(db, ...)
  local step, state, last, closing = db:each(...)
  local _ <close> = closing
  return { rows = { (step(state, last)) } }
end

local acts = {}

-- A loop that goes on while other things are done.
function acts.begin(self, op)
  self.loop = coroutine.wrap(function(...)
    local rows = {}
    for row in self.db:each(...) do
      rows[#rows + 1] = row
      coroutine.yield()
    end
    return rows
  end)
  return { rows = self.loop(statements.key(self.db, op.by, op.st), statements.sql(op.st)) }
end

function acts.finish(self)
  local rows
  repeat rows = self.loop() until rows
  return { rows = rows }
end

-- Writes inside of a loop over what it writes.
function acts.loop(self, op)
  local key, changes = statements.key(self.db, op.by, op.st), 0
  local sql = "UPDATE orders SET v = ? WHERE id = ?"
  local rows = self.db:all(key, statements.sql(op.st))
  for row in self.db:each(key, statements.sql(op.st)) do
    local result = self.db:run(op.own and self.db:key("orders", row.id) or key, sql, { statements.bind(op.v), row.id })
    changes = changes + result.meta.changes
  end
  return { rows = rows, changes = changes }
end

-- A statement on all shards.
function acts.sweep(self)
  local changes = 0
  for _, result in pairs(self.db:run_all_shards "UPDATE counters SET n = n + 1") do
    changes = changes + result.meta.changes
  end
  return { changes = changes }
end

function acts.call(self, op)
  local st = op.st
  return hows[op.how](self.db, statements.key(self.db, op.by, st), statements.sql(st))
end

function acts.batch(self, op)
  local list, answers = {}, {}
  for i, st in ipairs(op.sts) do list[i] = { statements.sql(st) } end
  for i, result in ipairs(self.db:batch(statements.key(self.db, op.by, op.sts[1]), list)) do
    answers[i] = plain(result)
  end
  return answers
end

-- Its statements; those from `inner` on in a savepoint that is undone.
local function run_all(tx, op, answers)
  for i, st in ipairs(op.sts) do
    if op.inner and i == op.inner then
      local _, err = pcall(tx.transaction, tx, function(inner)
        for at = i, #op.sts do answers[at] = plain(inner:run(statements.sql(op.sts[at]))) end
        error "undone"
      end)
      if errors.is_error(err) then error(err, 0) end
      return
    end
    answers[i] = plain(tx:run(statements.sql(st)))
  end
end

function acts.tx(self, op)
  local answers = {}
  local done, err = pcall(self.db.transaction, self.db, statements.key(self.db, op.by), function(tx)
    run_all(tx, op, answers)
    if op.ends == "error" then error({ asked = true }, 0) end
  end)
  if not done and not (type(err) == "table" and err.asked) then error(err, 0) end
  return answers
end

function acts.locate(self, op)
  local shard, why = self.db:locate(statements.key(self.db, op.by, { "get", op.by[1] }), op.by[1])
  return { shard = shard, why = why }
end

function acts.move(self, op)
  local key = statements.key(self.db, op.by)
  local report = self.db:reassign_shard(key, op.to)
  return { moved = report.moved, from = report.from, to = report.to }
end

local function told(report)
  local failed = {}
  for i, each in ipairs(report.failed) do failed[i] = ("%s: %s %s"):format(each.key, each.code, each.message) end
  return { success = report.success, finished = report.finished, sealed = report.sealed, moved = report.moved,
    planned = report.planned, retired = report.retired, waiting = report.waiting, failed = failed }
end

local function sum_of(text)
  local sum = 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 1000003 end
  return sum
end

function acts.rebalance(self, op)
  local policy = op.policy
  if policy == "own" then
    policy = function(key, from)
      local open = {}
      for _, name in ipairs(op.open) do open[#open + 1] = name end
      return open[sum_of(tostring(key)) % (#open + 1) + 1] or from
    end
  end
  return told(self.db:rebalance { policy = policy, dry_run = op.dry })
end

function acts.drain(self, op) return told(self.db:drain(op.shard, { dry_run = op.dry })) end

function acts.add(self, op)
  local report = self.db:add_shard(self:shard(op.shard))
  self:enforce()
  return report
end

function acts.enforce(self) self:enforce() end

function acts.flush(self) self.db:flush_cache() end

function acts.reopen(self, op)
  for name, weight in pairs(op.weights or {}) do self.setup.weights[name] = weight end
  self.db:close()
  self.db = nil
  self:open()
end

function acts.count(self, op)
  local total, by_shard = self.db:count(op.t)
  return { total = total, by_shard = by_shard }
end

function acts.stats(self)
  local counts = {}
  for _, each in ipairs(self.db:get_shard_stats()) do counts[each.binding] = each.count end
  for _, each in pairs(self.db:health()) do assert(each.reachable, "a shard is not reachable") end
  assert(#self.db:metrics() > 0 and #self.db:statistics().shards > 0)
  return counts
end

-- All rows of all shards.
function acts.everywhere(self, op)
  local out = {}
  for name, result in pairs(self.db:run_all_shards(statements.everything(op.t))) do out[name] = result.results end
  return out
end

function acts.verify(self, op)
  local report = self.db:verify { repair = op.repair }
  local list = {}
  for i, each in ipairs(report.findings) do
    list[i] = { kind = each.kind, what = each.what, key = tostring(each.key), advice = each.advice }
  end
  return { success = report.success, findings = list, repairs = report.repairs }
end

function acts.schema(self, op) self.db:ensure_schema(statements.change(self.setup, op.n)) end

function acts.integrate(self, op)
  local report = self.db:integrate(op.shard)
  return { success = report.success, issues = report.issues, conflict_count = report.conflict_count }
end

function acts.rollback(self, op) return self.db:rollback(op.shard) end

-- Another program's row, in a shard that others write.
function acts.outside(self, op)
  local result = self.db:shard(op.shard):run(statements.sql(op.st))
  return plain(result)
end

-- The shard's raw rows of all tables.
function acts.look(self, op)
  local out = {}
  for _, shard in ipairs(self.db:list_known_shards()) do
    out[shard] = {}
    for _, name in ipairs(op.tables) do
      local done, rows = pcall(self.db.shard(self.db, shard).all, self.db:shard(shard), statements.everything(name))
      -- A shard that was added by half has no tables yet.
      local bare = not done and op.unclear[shard] and rows.message:find "no such table"
      if not done and not bare then error(rows, 0) end
      out[shard][name] = done and rows or {}
    end
  end
  return out
end

-- Leases of a minute, of programs that are dead.
function acts.expire(self)
  local directory = core.sqlite(self.folder .. "/directory.db", { name = "the directory" })
  pcall(directory.run, directory, "UPDATE _collegedb_moves SET lease = 0")
  core.close(directory)
end

function acts.close(self)
  if self.db then self.db:close() end
end

-- The tables; and the file that was there before, with rows that no CollegeDB has seen.
function acts.prepare(self)
  local setup = self.setup
  if setup.old then
    local shard = core.sqlite(self.folder .. "/old.db", { journal_mode = "delete" })
    shard:exec(statements.schema(setup))
    for _, st in ipairs(setup.old) do shard:run(statements.sql(st)) end
    core.close(shard)
  end
  self:open()
  self.db:ensure_schema(statements.schema(setup))
  self.db:close()
end

-- --- a process of its own --------------------------------------------------------------------------

local function describe(err)
  if not errors.is_error(err) then return { code = "no error of CollegeDB's", message = tostring(err) } end
  local cause = err.cause and " (" .. tostring(err.cause) .. ")" or ""
  return { code = err.code, message = tostring(err) .. cause }
end

-- Ends the process after this step of a move.
local last_step
local run_move = move.run

function move.run(state, plan) -- luacheck: ignore 122
  plan.on_step = plan.on_step or function(name)
    if name == last_step then forks.exit(99) end
  end
  return run_move(state, plan)
end

function Worker:perform(op)
  local done, answer = true, nil
  if not self.db and op[1] ~= "prepare" then done, answer = pcall(self.open, self) end
  if not done then return { err = describe(answer) } end
  if op.fault then self.shim:arm(op.fault) end
  last_step = op.step
  done, answer = pcall(function() return acts[op[1]](self, op) or {} end)
  local struck
  if op.fault then struck = select(2, self.shim:disarm()) end
  if not done then return { err = describe(answer), struck = struck } end
  return { ok = answer, struck = struck }
end

---Starts one.
---@param p integer its number
---@param plant function? is called first
---@return table # { pid, from, to }
function worker.start(folder, setup, p, plant)
  local pid, from, to = forks.start(function(from, to)
    local self = setmetatable({ folder = folder, setup = setup, shim = faultvfs.install() }, Worker)
    math.randomseed(setup.seed, p) -- the strategy "random"
    if plant then plant() end
    while true do
      local op = wire.receive(from)
      if not op then return 0 end
      wire.send(to, self:perform(op))
      if op[1] == "close" then return 0 end
    end
  end)
  return { pid = pid, from = from, to = to }
end

return worker
