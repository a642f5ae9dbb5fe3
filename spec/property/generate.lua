-- A case from a seed: how the database is set up, and a list of operations, all as plain data.

local dice = require "spec.property.dice"
local statements = require "spec.property.statements"

local generate = {}

local VALUES <const> = { { null = true }, 0, 1, -1, math.maxinteger, math.mininteger, 2^53 + 0.0, (1 << 53) + 1, 0.1,
  1e300, 5e-324, 1 / 0, -1 / 0, 1.0, "", "text", "a\0b", "é", "\xff\xfe", "it's \"odd\"",
  { blob = "" }, { blob = "\0\1\xff" },
  "123", "1e3", ("x"):rep(200), { blob = ("y"):rep(100) } }

local TEXTS <const> = { "ada", "bob", "Cy", "17", "o'b\"x;--", "é", "%_", " x ", ("long"):rep(128), "-5", "1e3",
  "a\0b", "a\0c", "\xff\xfe", "\0" }
local SPELT <const> = { "ada", "ADA", "Ada", "bob", "Bob", "Cy", "cy", "17", "é" }
local ORDERS <const> = { 1, 2, 3, 4, 5, 17, -1, math.maxinteger }
local COUNTERS <const> = { 1, 2, 17, 0, -1, math.maxinteger, math.mininteger, (1 << 53) + 1 }

-- --- the setup -----------------------------------------------------------------------------------

local function old_rows()
  local list = {}
  for i = 1, 3 do
    list[#list + 1] = { "put", "users", id = "old" .. i, v = i, mode = "insert" }
    list[#list + 1] = { "put", "orders", id = 900 + i, u = "old" .. i, v = "o", mode = "insert" }
    list[#list + 1] = { "put", "counters", id = 900 + i, v = "c", mode = "insert" }
  end
  return list
end

local function choose_setup(d, seed)
  local setup = {
    seed = seed,
    processes = d:weighted { { 2, 1 }, { 5, 2 }, { 3, 3 } },
    shards = d:chance(2) and { "a", "b", "c" } or { "a", "b" },
    strategy = d:weighted { { 6, "hash" }, { 2, "round_robin" }, { 1, "random" }, { 1, "location" },
      { 1, "hash_compat" } },
    directory = d:chance(4) and "full" or "sparse",
    ttl = d:chance(4) and 0 or 30,
    cache = d:chance(4) and 4 or 1000,
    consistency = d:chance(3) and "strict" or "cached",
    kv = d:chance(5) and "single" or "file",
    single = {}, weights = {}, regions = {},
    nocase = d:chance(4),
    journal_mode = d:chance(5) and "delete" or nil,
  }
  if setup.kv == "single" then setup.single.directory = true end
  setup.shards_single = d:chance(6)
  for _, name in ipairs(setup.shards) do
    if d:chance(4) then setup.weights[name] = 2 end
    if d:chance(2) then setup.regions[name] = d:pick { "weur", "enam" } end
    if setup.shards_single and d:chance(2) then setup.single[name] = true end
  end
  if not setup.shards_single then
    setup.enforced = d:chance(2)
    if d:chance(4) then
      setup.old = old_rows()
      setup.shards[#setup.shards + 1] = "old"
    end
    if d:chance(5) then setup.external = setup.shards[1] end
    setup.check_keys = not setup.nocase and d:chance(6) or nil
  end
  return setup
end

-- --- statements ---------------------------------------------------------------------------------------

local Case = {}
Case.__index = Case

local TABLE <const> = { { 6, "users" }, { 3, "settings" }, { 6, "orders" }, { 4, "items" }, { 4, "counters" },
  { 2, "notes" }, { 1, "tags" } }
local VERB <const> = { { 6, "put" }, { 3, "set" }, { 2, "add" }, { 3, "drop" }, { 5, "get" }, { 2, "list" } }
local MODE <const> = { { 6, "insert" }, { 2, "ignore" }, { 2, "replace" }, { 2, "upsert" } }
local READS <const> = { get = true, list = true }
local INSIDE <const> = { orders = true, items = true, notes = true }
local COUNTED <const> = { users = true, counters = true }

-- One of few, and often the same for a while: what is remembered of a key is what goes wrong.
function Case:text()
  if not self.focus or self.d:chance(12) then self.focus = self.d:pick(self.texts) end
  return not self.d:chance(3) and self.focus or self.d:pick(self.texts)
end

function Case:as() return self.d:weighted { { 5, nil }, { 1, "key" }, { 1, "string" }, { 1, "float" } } end

function Case:id_of(name)
  if name == "orders" or name == "items" then return self.d:pick(self.orders) end
  if name == "counters" then return self.d:pick(self.counters) end
  if name == "notes" then return "note" .. self.d:roll(4) end
  if name == "tags" then return self.d:roll(4) end
  return self:text()
end

-- A statement about a table; of the group of user `u` if it is one inside a group.
function Case:statement_on(name, u)
  local d = self.d
  local verb = d:weighted(VERB)
  if verb == "add" and not COUNTED[name] then verb = "set" end
  if verb == "list" and not (INSIDE[name] and u) then verb = "get" end
  local st = { verb, name, u = INSIDE[name] and u or nil }
  if verb == "list" then return st end
  st.id = (name == "users" or name == "settings") and u or self:id_of(name)
  if name == "items" then st.line = d:roll(2) end
  if verb == "put" or verb == "set" then st.v = d:pick(VALUES) end
  if verb == "put" then st.mode = d:weighted(MODE) end
  if not READS[verb] and verb ~= "add" and d:chance(8) then st.ret = true end
  return st
end

local HOWS <const> = { put = "insert", set = "update_by_primary_key", add = "update_by_primary_key",
  drop = "delete_by_primary_key", get = "select_by_primary_key", list = "select_by_primary_key" }

function Case:how(st)
  if READS[st[1]] then
    local how = self.d:pick { "first", "all", "each", "run", "half", HOWS[st[1]] }
    return how
  end
  if st.ret then return self.d:pick { "first", "all", "run" } end
  return self.d:chance(2) and "run" or HOWS[st[1]]
end

-- A statement and the key by which it is routed.
function Case:statement()
  local name = self.d:weighted(TABLE)
  local by
  if name == "counters" or name == "tags" then
    local st = self:statement_on(name)
    return st, { name, st.id, as = self:as() }
  end
  local u = self:text()
  if INSIDE[name] and self.d:chance(3) then
    local st = self:statement_on(name, nil)
    by = { name == "items" and "orders" or name, st.id, as = self:as() }
    if not (st[1] == "put" and name ~= "items") then return st, by end
  end
  return self:statement_on(name, u), { "users", u, as = self.d:chance(6) and "key" or nil }
end

-- Several of one group.
function Case:statements()
  local u, list = self:text(), {}
  for i = 1, self.d:roll(4) do
    list[i] = self:statement_on(self.d:pick { "users", "settings", "orders", "orders", "items", "items" }, u)
    list[i].ret = nil
  end
  return list, { "users", u, as = self.d:chance(3) and "key" or nil }
end

-- --- operations ----------------------------------------------------------------------------------------

local make = {}

function make.call(self)
  local st, by = self:statement()
  return { "call", by = by, st = st, how = self:how(st) }
end

function make.batch(self)
  if self.setup.shards_single then return make.call(self) end
  local sts, by = self:statements()
  return { "batch", by = by, sts = sts }
end

function make.tx(self)
  if self.setup.shards_single then return make.call(self) end
  local sts, by = self:statements()
  local op = { "tx", by = by, sts = sts, ends = self.d:chance(4) and "error" or "commit" }
  if self.d:chance(4) then op.inner = self.d:roll(#sts) end
  return op
end

function make.move(self)
  local _, by = self:statement()
  if by.as ~= "key" and math.type(by[2]) == "integer" then by.as = "key" end
  if self.setup.nocase or by[1] == "notes" then by.as = "key" end
  return { "move", by = by, to = self.d:pick(self.d:chance(8) and self.all_shards or self.setup.shards) }
end

function make.die(self)
  local op = make.move(self)
  op.step = self.d:pick { "journal", "receive", "send", "copy", "commit", "activate", "publish", "clean", "close" }
  return op
end

function make.rebalance(self)
  return { "rebalance", policy = self.d:pick { "home", "even", "own", nil }, dry = self.d:chance(8) or nil }
end

function make.drain(self) return { "drain", shard = self.d:pick(self.all_shards), dry = self.d:chance(8) or nil } end
function make.add(self) return { "add", shard = self.d:pick(self.all_shards) } end
function make.integrate(self) return { "integrate", shard = self.d:pick(self.setup.shards) } end
function make.rollback(self) return { "rollback", shard = self.d:pick(self.setup.shards) } end
function make.schema(self) return { "schema", n = self.d:roll(#statements.changes) } end
function make.flush() return { "flush" } end

-- With another weight of a shard, which makes another placement.
function make.reopen(self)
  local weights = self.d:chance(2) and { [self.d:pick(self.setup.shards)] = self.d:roll(3) } or nil
  return { "reopen", weights = weights }
end

function make.begin(self)
  if self.setup.journal_mode or self.setup.old then return make.call(self) end -- it would lock others out
  local u = self:text()
  return { "begin", by = { "users", u }, st = { "list", self.d:pick { "orders", "items" }, u = u } }
end

function make.finish() return { "finish" } end

function make.loop(self)
  local u = self:text()
  return { "loop", by = { "users", u }, st = { "list", "orders", u = u }, v = self.d:pick(VALUES),
    own = self.d:chance(2) or nil }
end

function make.sweep() return { "sweep" } end
function make.kill() return { "kill" } end
function make.stats() return { "stats" } end
function make.check() return { "check" } end
function make.verify(self) return { "verify", repair = self.d:chance(3) or nil } end
function make.count(self) return { "count", t = self.d:weighted(TABLE) } end
function make.everywhere(self) return { "everywhere", t = self.d:weighted(TABLE) } end

function make.locate(self)
  local _, by = self:statement()
  return { "locate", by = by }
end

function make.outside(self)
  if not self.setup.external then return make.call(self) end
  self.outsiders = (self.outsiders or 0) + 1
  local id = "out" .. self.outsiders
  self.texts[#self.texts + 1] = id
  return { "outside", shard = self.setup.external, st = { "put", "users", id = id, v = 1, mode = "insert" } }
end

local WEIGHTS <const> = { call = 120, batch = 8, tx = 14, move = 18, die = 4, rebalance = 2, drain = 2, add = 3,
  integrate = 1, rollback = 1, schema = 3, flush = 2, reopen = 2, kill = 2, stats = 1, check = 3, verify = 2,
  count = 2, everywhere = 2, locate = 4, outside = 1,
  begin = 3, finish = 3, loop = 4, sweep = 1 }

local CAN_FAIL <const> = { call = 12, batch = 5, tx = 5, move = 4, rebalance = 3, drain = 3, add = 3, integrate = 4,
  rollback = 4, reopen = 2 }

-- A file call of the operation that fails, or is the last one.
local function fault_of(d, case, name)
  if not CAN_FAIL[name] or not d:chance(CAN_FAIL[name]) then return nil end
  -- SQLite itself takes a new file for none, in the connection that could not write it, once others have.
  if name == "add" and case.setup.journal_mode then return nil end
  local long = name ~= "call" and name ~= "batch" and name ~= "tx"
  return { at = d:roll(d:chance(2) and 12 or long and 400 or 60), lasting = d:chance(3) or nil,
    action = d:weighted { { 3, "exit" }, { 3, "ioerr" }, { 2, "full" }, { 2, "busy" } },
    decider = d:roll(case.setup.processes) }
end

local function weights()
  local list = {}
  for name, weight in pairs(WEIGHTS) do list[#list + 1] = { weight, name } end
  table.sort(list, function(a, b) return a[2] < b[2] end)
  return list
end

-- What programs do that had to do with the key before: it is they who may have an old idea of where it is.
local function after_move(case, op)
  if (op[1] ~= "move") or op.by[1] ~= "users" then return {} end
  local list = {}
  case.focus = op.by[2]
  for i = 1, case.d:roll(3) do
    local name = case.d:pick { "users", "orders", "settings", "items" }
    local st = case:statement_on(name, op.by[2])
    list[i] = { "call", by = { "users", op.by[2] }, st = st, how = case:how(st) }
  end
  return list
end

---@param seed integer
---@param length integer? operations (60)
---@return table case { seed, setup, ops }
function generate.case(seed, length)
  local d = dice.new(seed)
  local setup = choose_setup(d, seed)
  local case = setmetatable({ d = d, setup = setup }, Case)
  case.texts = d:some(setup.nocase and SPELT or TEXTS, d:roll(2, 6))
  case.orders, case.counters = d:some(ORDERS, d:roll(2, 5)), d:some(COUNTERS, d:roll(1, 4))
  if setup.old then
    for _ = 1, 2 do case.texts[#case.texts + 1] = "old" .. d:roll(3) end
    case.orders[1], case.counters[1] = 900 + d:roll(3), 900 + d:roll(3)
  end
  case.all_shards = { table.unpack(setup.shards) }
  case.all_shards[#case.all_shards + 1] = "more1"
  case.all_shards[#case.all_shards + 1] = "more2"
  local list, ops, faulty = weights(), {}, d:chance(2)
  local waiting = {}
  for i = 1, length or 60 do
    local op = table.remove(waiting) or make[d:weighted(list)](case)
    if #waiting == 0 then waiting = after_move(case, op) end
    op.p = d:roll(setup.processes)
    if faulty then op.fault = fault_of(d, case, op[1]) end
    if op.step then op.fault = nil end
    ops[i] = op
  end
  return { seed = seed, setup = setup, ops = ops }
end

return generate
