-- What a case runs in: the processes, what each answers, and what is known of what a fault has left.

local forks = require "forks"
local model = require "spec.property.model"
local wire = require "spec.property.wire"
local worker = require "spec.property.worker"

local world = {}

local World = {}
World.__index = World
world.class = World

local TRIES <const> = 4 -- of a transaction that was refused because its key moved
world.TRIES = TRIES

---Ends the case: it has failed.
function world.fail(format, ...) error({ failure = format:format(...):sub(1, 600) }, 0) end

-- --- processes ------------------------------------------------------------------------------------

function World:worker(p)
  if not self.workers[p] then self.workers[p] = worker.start(self.folder, self.setup, p, self.plant) end
  return self.workers[p]
end

function World:buried(p)
  local it = self.workers[p]
  self.workers[p] = nil
  it.to:close()
  local rest = it.from:read "a"
  it.from:close()
  return forks.wait(it.pid), rest
end

---What a process answers: { ok = … } or { err = { code, message } }; nil if it has died, as it was to.
function World:tell(p, op)
  -- Inside of a loop a program sees what the loop sees.
  if self.loops[p] and op[1] ~= "finish" then self:finish(p) end
  local it = self:worker(p)
  wire.send(it.to, op)
  local answer = wire.receive(it.from)
  if answer and not answer.broken then return answer end
  local status, rest = self:buried(p)
  self.killed = true
  if status ~= 99 or not (op.fault or op.step) then
    world.fail("process %d ended with %d: %s%s", p, status, answer and answer.broken or "", rest or "")
  end
end

-- One that must be done.
function World:expect(p, op)
  local answer = self:tell(p, op)
  if answer and answer.ok then return answer.ok end
  world.fail("%s by process %d: %s", op[1], p, answer and answer.err.message or "it died")
end

-- --- what a fault leaves -----------------------------------------------------------------------------

local UNCLEAN <const> = { INTERNAL = true, SQL = true, CORRUPT = true, ["no error of CollegeDB's"] = true }

-- May an operation have been done by half? `answer` is nil, or has an error after a fault.
function world.is_struck(answer)
  if not answer then return true end
  if not (answer.err and answer.struck) then return false end
  if UNCLEAN[answer.err.code] then world.fail("no clean error: %s", answer.err.message) end
  return true
end

-- A move may be half done from now on: reads may show what it has left, until it is ended.
function World:unsettle()
  self.unsettled = true
  self.stale[#self.stale + 1] = self.model
  self.model = self.model:copy()
end

-- Where no lock tells that a mover is dead, its lease would have to run out.
function World:expire(p)
  if next(self.setup.single) then self:expect(p, { "expire" }) end
end

-- What dead movers have left is ended.
function World:settle(p)
  if not self.unsettled then return end
  self:expect(p, { "verify", repair = true })
  self.unsettled, self.stale = false, {}
end

-- --- statements ---------------------------------------------------------------------------------------

-- Those that show a group whole.
function world.views(self, by)
  if math.type(by[2]) == "integer" then return { { "get", by[1], id = by[2] } } end
  local list = { { "get", "users", id = by[2] }, { "get", "settings", id = by[2] }, { "list", "orders", u = by[2] },
    { "list", "items", u = by[2] } }
  if self.made.notes then list[#list + 1] = { "list", "notes", u = by[2] } end
  return list
end

-- The key of the group that a key leads to; nil if the row is not there.
function world.root_of(m, by)
  if not model.inside[by[1]] then return by end
  local owner = m:owner(by[1], by[2])
  return owner and { "users", owner }
end

-- What is there of the group, by a look that finds where it is.
function World:read_group(p, by)
  local sts, rows = world.views(self, by), {}
  if not next(self.setup.single) then
    local op = { "tx", by = { by[1], by[2], as = "key" }, sts = sts, ends = "commit" }
    for try = 1, TRIES do
      local answer = self:tell(p, op)
      if answer.ok then
        for i, each in ipairs(answer.ok) do rows[i] = each.rows end
        return rows
      end
      if answer.err.code ~= "MOVED" or try == TRIES then world.fail("looking at %s: %s", by[2], answer.err.message) end
    end
  end
  self:settle(p)
  for i, st in ipairs(sts) do rows[i] = self:expect(p, { "call", by = by, st = st, how = "all" }).rows end
  return rows
end

-- Whether it was done, which nobody has heard.
function World:decide(op, after)
  if wire.equal(self.model.tables, after.tables) then return end
  local by = world.root_of(self.model, op.by) or world.root_of(after, op.by)
  local found = self:read_group(op.fault.decider, by)
  for _, m in ipairs { after, self.model } do
    local expected = {}
    for i, st in ipairs(world.views(self, by)) do expected[i] = m:apply(st).rows end
    if wire.equal(found, expected) then
      self.model = m
      return
    end
  end
  world.fail("half done: %s", wire.source(found))
end

return world
