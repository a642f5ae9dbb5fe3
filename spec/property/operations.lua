-- What each operation does, here and there, and the comparison. One that makes no sense where it stands returns
-- false: it was not done.

local forks = require "forks"
local model = require "spec.property.model"
local statements = require "spec.property.statements"
local wire = require "spec.property.wire"
local world = require "spec.property.world"

local TABLES <const> = { "users", "settings", "orders", "items", "counters" }
local TRIES <const> = world.TRIES

local fail, is_struck, views, root_of = world.fail, world.is_struck, world.views, world.root_of

local function is_possible(self, st)
  return (st[2] ~= "notes" or self.made.notes) and (st[2] ~= "tags" or self.made.tags)
end

-- What a statement's answer should be, by how it is asked.
local function seen(expected, how)
  local rows = expected.rows
  if how == "first" or how == "half" then rows = { rows[1] } end
  return { rows = rows, changes = expected.changes }
end

local function is_same(answer, expected, how)
  local wanted = seen(expected, how)
  if answer.changes and answer.changes ~= wanted.changes then return false end
  return wire.equal(answer.rows, wanted.rows)
end

-- A row without a parent. A note's group without rows is not known, so that its key could be a note's own; and an item
-- of an order that has left, and is gone since, may be held for one on its way.
local ORPHANED <const> = { USAGE = true, MOVED = true, MOVING = true }

local function check_error(answer, code, what, orphan)
  if not code then fail("%s: %s", what, answer.err.message) end
  if orphan and ORPHANED[answer.err.code] then return end
  if answer.err.code ~= code then fail("%s: %s was expected, and not %s", what, code, answer.err.message) end
end

local READS <const> = { get = true, list = true }

-- A read may show what a dead mover has left.
local function was_so(self, op, answer)
  if not READS[op.st[1]] or self.setup.consistency == "strict" then return false end
  for _, m in ipairs(self.stale) do
    local expected = m:apply(op.st)
    if expected and expected.rows and is_same(answer.ok, expected, op.how) then return true end
  end
  return false
end

local acts = {}

function acts.call(self, op)
  if not is_possible(self, op.st) then return false end
  local after = self.model:copy()
  local expected = after:apply(op.st)
  if not expected then return false end
  local answer = self:tell(op.p, op)
  if is_struck(answer) then return self:decide(op, after) end
  if answer.err then return check_error(answer, expected.error, "a statement", expected.orphan) end
  if was_so(self, op, answer) then return end
  if expected.error then fail("%s was expected, and not %s", expected.error, wire.source(answer.ok)) end
  if not is_same(answer.ok, expected, op.how) then
    fail("%s was expected, and not %s", wire.source(seen(expected, op.how)), wire.source(answer.ok))
  end
  self.model = after
end

-- Several statements, all or none.
local function together(self, op)
  for _, st in ipairs(op.sts) do
    if not is_possible(self, st) then return false end
  end
  local after = self.model:copy()
  local expected, code, orphan = after:apply_all(op.sts)
  if not expected then return false end
  local known = root_of(self.model, op.by)
  if not known and op[1] == "tx" then code = "USAGE" end
  local answer
  for _ = 1, op[1] == "tx" and self.unsettled and TRIES or 1 do
    answer = self:tell(op.p, op)
    if not (answer and answer.err and answer.err.code == "MOVED") then break end
  end
  if not code and op.inner then -- undone
    after = self.model:copy()
    after:apply_all(table.move(op.sts, 1, op.inner - 1, 1, {}))
  end
  if op.ends == "error" then after = self.model:copy() end
  if is_struck(answer) then return self:decide(op, code and self.model or after) end
  if answer.err then return check_error(answer, code, op[1], orphan) end
  if code then fail("%s was expected, and not %s", code, wire.source(answer.ok)) end
  for i, each in ipairs(expected) do
    if not answer.ok[i] or not is_same(answer.ok[i], each, "run") then
      fail("statement %d: %s was expected, and not %s", i, wire.source(each), wire.source(answer.ok[i]))
    end
  end
  self.model = after
end

acts.batch, acts.tx = together, together

function acts.outside(self, op)
  if self.outside[op.st.id] or self.shards[op.shard] ~= "open" then return false end
  self.outside[op.st.id] = true
  local expected = self.model:apply(op.st)
  local answer = self:expect(op.p, op)
  if expected.error or answer.changes ~= 1 then fail "another program's row" end
end

local function names(self, state)
  local list = {}
  for name, is in pairs(self.shards) do
    if is == state then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- --- loops ---

function acts.begin(self, op)
  if self.loops[op.p] or not is_possible(self, op.st) then return false end
  local expected = self.model:apply(op.st)
  local answer = self:expect(op.p, op)
  if answer.rows then -- there were none
    if #expected.rows > 0 and not self.unsettled then fail "a loop over nothing" end
    return
  end
  self.loops[op.p] = { expected = expected, worker = self.workers[op.p],
    unsure = self.unsettled and self.setup.consistency == "cached" }
end

function world.class:finish(p)
  local loop = self.loops[p]
  self.loops[p] = nil
  if not loop or loop.worker ~= self.workers[p] then return false end
  local answer = self:expect(p, { "finish" })
  if not loop.unsure and not is_same(answer, loop.expected, "each") then
    fail("the loop gave %s, and not %s", wire.source(answer.rows), wire.source(loop.expected.rows))
  end
end

function acts.finish(self, op) return self:finish(op.p) end

function acts.loop(self, op)
  local after = self.model:copy()
  local expected = after:apply(op.st)
  for _, row in ipairs(expected.rows) do after:apply { "set", "orders", id = row.id, v = op.v } end
  local answer = self:expect(op.p, op)
  if self.unsettled and self.setup.consistency == "cached" then answer.rows = expected.rows end
  if not is_same(answer, { rows = expected.rows, changes = #expected.rows }, "all") then
    fail("the loop: %s was expected, and not %s", wire.source(expected.rows), wire.source(answer))
  end
  self.model = after
end

function acts.sweep(self, op)
  if self.unsettled or #names(self, "unclear") > 0 then return false end
  local answer = self:expect(op.p, op)
  for _, row in pairs(self.model.tables.counters) do row.n = row.n + 1 end
  local expected = #self.model:all "counters"
  if answer.changes ~= expected then fail("%d counters were changed, not %d", answer.changes, expected) end
end

-- --- shards and moves -----------------------------------------------------------------------------------

local function is_empty(self, by)
  for _, st in ipairs(views(self, by)) do
    if #self.model:apply(st).rows > 0 then return false end
  end
  return true
end

-- Keys that a fault kept from being moved are told of.
local function check_report(answer, what, op)
  if answer.success or (op and op.fault and answer.struck) then return end
  fail("%s is no success: %s", what, wire.source(answer))
end

-- An operation that changes no row, and after a fault may be done by half. Nil then.
local function work(self, op, codes)
  if op.fault or op.step then self:unsettle() end
  local answer = self:tell(op.p, op)
  if is_struck(answer) or op.fault then self:expire(op.p) end
  if is_struck(answer) then return nil end
  if answer.ok and op.fault then self:settle(op.p) end
  answer.ok = answer.ok and setmetatable(answer.ok, { __index = { struck = answer.struck } })
  if answer.ok then return answer.ok end
  if not codes[answer.err.code] then fail("%s: %s", op[1], answer.err.message) end
  return { err = answer.err.code }
end

function acts.move(self, op)
  local by, state = root_of(self.model, op.by), self.shards[op.to]
  if not is_possible(self, { "get", op.by[1] }) then return false end
  local codes = { USAGE = state ~= "open", SHARD_NOT_FOUND = state == nil or state == "unclear",
    MAPPING_NOT_FOUND = by == nil or is_empty(self, by) }
  codes.SHARD_NOT_FOUND = codes.SHARD_NOT_FOUND or state == "closed"
  local answer = work(self, op, codes)
  if answer and not answer.err and not by then fail "a row that is not there was moved" end
  if answer and not answer.err and answer.to ~= op.to then fail "moved elsewhere" end
end

local function may_be_busy(self) return { BUSY = self.setup.kv == "single" and self.killed } end

function acts.rebalance(self, op)
  op.open = names(self, "open")
  local answer = work(self, op, may_be_busy(self))
  if answer and not answer.err then check_report(answer, "rebalance", op) end
end

function acts.drain(self, op)
  local state, codes = self.shards[op.shard], may_be_busy(self)
  codes.NO_SHARDS = #names(self, "open") < 2 or #names(self, "unclear") > 0
  codes.SHARD_NOT_FOUND = state == nil or state == "unclear"
  self.shards[op.shard] = "unclear"
  local answer = work(self, op, codes)
  if not answer or answer.err == "BUSY" then return end
  if answer.err then
    self.shards[op.shard] = state
    return
  end
  check_report(answer, "drain", op)
  if op.dry then
    self.shards[op.shard] = state
    return
  end
  if not answer.sealed and not answer.success then return end
  if not answer.sealed then fail("drained and not closed: %s", wire.source(answer)) end
  self.shards[op.shard] = "closed"
end

function acts.add(self, op)
  local state = self.shards[op.shard]
  self.shards[op.shard] = "unclear"
  local answer = work(self, op, { CONFIG = state == "open" or state == "unclear" })
  if answer then self.shards[op.shard] = "open" end
  for p in pairs(self.setup.enforced and self.workers or {}) do self:expect(p, { "enforce" }) end
end

function acts.integrate(self, op)
  if self.shards[op.shard] ~= "open" then return false end
  local answer = work(self, op, { SHARD_NOT_FOUND = not self.first[op.shard] })
  if answer and not answer.err then check_report(answer, "integrate", op) end
end

function acts.rollback(self, op)
  if self.shards[op.shard] ~= "open" then return false end
  local answer = work(self, op, { SHARD_NOT_FOUND = not self.first[op.shard] })
  if answer and not answer.err then check_report(answer, "rollback", op) end
end

function acts.schema(self, op)
  if self.schemas[op.n] then return false end
  self:expect(op.p, op)
  self.schemas[op.n] = true
  local of = statements.changes[op.n].of
  if of then self.made[of] = true end
end

-- --- looks -------------------------------------------------------------------------------------------------

function acts.flush(self, op) self:expect(op.p, op) end

function acts.reopen(self, op)
  local answer = self:tell(op.p, op)
  if answer and answer.err and not is_struck(answer) then fail("reopen: %s", answer.err.message) end
end

function acts.kill(self, op)
  if not self.workers[op.p] then return false end
  forks.kill(self.workers[op.p].pid, "KILL")
  self:buried(op.p)
  self.killed = true
end

function acts.stats(self, op) self:expect(op.p, op) end

function acts.locate(self, op)
  if not is_possible(self, { "get", op.by[1] }) then return false end
  local answer = self:expect(op.p, op)
  local by = root_of(self.model, op.by)
  if by and not is_empty(self, by) and not self.shards[answer.shard] then
    fail("%s is on %s (%s)", by[2], answer.shard, answer.why)
  end
end

local function tables_of(self)
  local list = table.move(TABLES, 1, #TABLES, 1, {})
  for _, name in ipairs { "notes", "tags" } do
    if self.made[name] then list[#list + 1] = name end
  end
  return list
end

function acts.count(self, op)
  if self.unsettled or not is_possible(self, { "get", op.t }) then return false end
  local answer, expected = self:expect(op.p, op), #self.model:all(op.t)
  if answer.total ~= expected then fail("%d rows of %s were counted, not %d", answer.total, op.t, expected) end
end

local function sources(rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = wire.source(row) end
  table.sort(list)
  return list
end

local function check_rows(found, expected, what)
  local a, b = sources(found), sources(expected)
  if not wire.equal(a, b) then
    fail("%s: there are { %s }, and should be { %s }", what, table.concat(a, ", "), table.concat(b, ", "))
  end
end

function acts.everywhere(self, op)
  if self.unsettled or #names(self, "unclear") > 0 or not is_possible(self, { "get", op.t }) then return false end
  local all = {}
  for _, rows in pairs(self:expect(op.p, op)) do table.move(rows, 1, #rows, #all + 1, all) end
  check_rows(all, self.model:all(op.t), op.t)
end

-- Whose group a raw row is of.
local function group_of(m, name, row)
  if name == "counters" or name == "tags" then return name .. ":" .. row.id end
  if name == "items" then return m:owner("items", row.order_id) end
  return m:fold(row.user_id or row.id)
end

-- Each row is there once, and each group on one shard. Returns where.
local function check_places(self, p)
  local unclear, where = {}, {}
  for _, name in ipairs(names(self, "unclear")) do unclear[name] = true end
  local found = self:expect(p, { "look", tables = tables_of(self), unclear = unclear })
  for _, name in ipairs(tables_of(self)) do
    local all = {}
    for shard, tables in pairs(found) do
      for _, row in ipairs(tables[name]) do
        all[#all + 1] = row
        local group = group_of(self.model, name, row) or "?"
        if where[group] and where[group] ~= shard then fail("%s is on %s and on %s", group, where[group], shard) end
        where[group] = shard
      end
    end
    check_rows(all, self.model:all(name), name)
  end
  return where
end

local function each_key(self)
  local keys, seen_keys = {}, {}
  for _, name in ipairs(tables_of(self)) do
    for _, row in ipairs(self.model:all(name)) do
      if name ~= "items" then
        local id = row.id
        local mark = (model.inside[name] or name == "counters" or name == "tags") and name .. ":" .. id or id
        if not seen_keys[mark] then keys[#keys + 1] = { name, id } end
        seen_keys[mark] = true
      end
    end
  end
  return keys
end

local function check_reads(self, p)
  for _, by in ipairs(each_key(self)) do
    for _, st in ipairs(views(self, root_of(self.model, by))) do
      acts.call(self, { "call", p = p, by = root_of(self.model, by), st = st, how = "all" })
    end
    acts.call(self, { "call", p = p, by = by, st = { "get", by[1], id = by[2] }, how = "all" })
  end
end

local function check_located(self, p, where)
  self:expect(p, { "flush" })
  for _, by in ipairs(each_key(self)) do
    local root = root_of(self.model, by)
    local group = math.type(root[2]) == "integer" and root[1] .. ":" .. root[2] or self.model:fold(root[2])
    local answer = self:expect(p, { "locate", by = by })
    if answer.shard ~= where[group] then
      fail("process %d says that %s is on %s (%s); it is on %s", p, by[2], answer.shard, answer.why, where[group])
    end
  end
end

function acts.verify(self, op)
  if self.unsettled then return self:settle(op.p) end
  check_report(self:expect(op.p, op), "verify")
end

function acts.check(self, op)
  self:settle(op.p)
  check_report(self:expect(op.p, { "verify" }), "verify")
  local where = check_places(self, op.p)
  for p = 1, self.setup.processes do check_reads(self, p) end
  for p = 1, self.setup.processes do check_located(self, p, where) end
end

return acts
