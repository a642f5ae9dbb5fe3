-- What the router is compared with: plain Lua tables of rows, and what each statement does to them.
--
-- A statement is plain data:
--
--     { "put", "orders", id = 7, u = "ada", v = 1.5, mode = "insert" | "ignore" | "replace" | "upsert" }
--     { "set", "users", id = "ada", v = { null = true } }     { "add", "users", id = "ada" }
--     { "drop", "items", id = 7, line = 2, u = "ada" }        { "get", "users", id = "ada" }
--     { "list", "orders", u = "ada" }
--
-- `u` is the user of the group; a statement without one that is about a row inside a group is routed by the row's own
-- key.

local wire = require "spec.property.wire"

local model = {}

local Model = {}
Model.__index = Model

---What follows users, and by which column it tells itself apart there.
model.inside = { orders = true, items = true, notes = true }
local CHILDREN <const> = { users = { "orders", "notes" }, orders = { "items" } }
local COUNTED <const> = { users = true, counters = true }

---@param setup table of generate.lua
function model.new(setup)
  local self = setmetatable({ setup = setup, tables = {} }, Model)
  for _, name in ipairs { "users", "settings", "orders", "items", "counters", "notes", "tags" } do
    self.tables[name] = {}
  end
  return self
end

function Model:fold(text)
  if self.setup.nocase and type(text) == "string" then return (text:gsub("%u", string.lower)) end
  return text
end

---A copy whose rows can be changed.
function Model:copy()
  return setmetatable({ setup = self.setup, tables = wire.copy(self.tables) }, Model)
end

local function place(self, st)
  if st[2] == "items" then return st.id .. "/" .. st.line end
  return self:fold(st.id)
end

function Model:row(st) return self.tables[st[2]][place(self, st)] end

---The user in whose group a row of a table is; nil if there is no such row.
function Model:owner(table_name, id)
  local row = self.tables[table_name == "items" and "orders" or table_name][self:fold(id)]
  return row and self:fold(row.u)
end

-- --- what a value is when it is read ----------------------------------------------------------

local function typed(v)
  if type(v) ~= "table" then
    local kind = math.type(v) == "integer" and "integer" or math.type(v) == "float" and "real" or "text"
    return v, kind
  end
  if v.null then return nil, "null" end
  return v.blob, "blob"
end

local function shown(name, row)
  local v, kind = typed(row.v)
  local out = { v = v, t = kind }
  if name == "items" then out.order_id, out.line = row.id, row.line else out.id = row.id end
  if COUNTED[name] then out.n = row.n end
  if name == "orders" or name == "notes" then out.user_id = row.u end
  return out
end

-- --- statements --------------------------------------------------------------------------------

local function children_of(self, st)
  local found = {}
  for _, name in ipairs(CHILDREN[st[2]] or {}) do
    for key, row in pairs(self.tables[name]) do
      local parent = name == "items" and row.id or self:fold(row.u)
      if parent == self:fold(st.id) then found[#found + 1] = { name, key, row } end
    end
  end
  return found
end

local function cascade(self, st)
  for _, each in ipairs(children_of(self, st)) do
    cascade(self, { "drop", each[1], id = each[3].id })
    self.tables[each[1]][each[2]] = nil
  end
end

-- Is the row that the statement means another user's?
local function is_foreign(self, st)
  local owner = model.inside[st[2]] and st.u and self:owner(st[2], st.id)
  return owner and owner ~= self:fold(st.u)
end

local NOTHING <const> = { rows = {}, changes = 0 }

local function changed(st, row)
  return { rows = st.ret and { { v = shown(st[2], row).v } } or {}, changes = 1 }
end

local acts = {}

local function has_parent(self, st)
  if st[2] == "items" then return self.tables.orders[st.id] ~= nil end
  return not model.inside[st[2]] or self.tables.users[self:fold(st.u)] ~= nil
end

function acts.put(self, st)
  local known = self:row(st)
  if is_foreign(self, st) then return nil end
  if model.inside[st[2]] and not st.u and not self:owner(st[2], st.id) then return { error = "USAGE" } end
  if known and st.mode == "ignore" then return NOTHING end
  if known and st.mode == "insert" then return { error = "CONSTRAINT" } end
  if known and st.mode == "upsert" then
    known.v = st.v
    return changed(st, known)
  end
  if not has_parent(self, st) then return self.setup.enforced and { error = "CONSTRAINT", orphan = true } or nil end
  if known and self.setup.enforced then cascade(self, st) end
  local row = { id = st.id, line = st.line, u = st.u or known and known.u, v = st.v, n = COUNTED[st[2]] and 0 or nil }
  self.tables[st[2]][place(self, st)] = row
  return changed(st, row)
end

function acts.set(self, st)
  local row = self:row(st)
  if is_foreign(self, st) and st[2] == "items" then return nil end
  if not row or is_foreign(self, st) then return NOTHING end
  row.v = st.v
  return changed(st, row)
end

function acts.add(self, st)
  local row = self:row(st)
  if not row then return NOTHING end
  row.n = row.n + 1
  return changed(st, row)
end

function acts.drop(self, st)
  local row = self:row(st)
  if is_foreign(self, st) and st[2] == "items" then return nil end
  if not row or is_foreign(self, st) then return NOTHING end
  if self.setup.enforced then cascade(self, st) elseif #children_of(self, st) > 0 then return nil end
  self.tables[st[2]][place(self, st)] = nil
  return changed(st, row)
end

function acts.get(self, st)
  local row = self:row(st)
  if is_foreign(self, st) and st[2] == "items" then return nil end
  if is_foreign(self, st) then row = nil end
  return { rows = { row and shown(st[2], row) }, changes = 0 }
end

local function before(a, b)
  if (a.order_id or a.id) ~= (b.order_id or b.id) then return (a.order_id or a.id) < (b.order_id or b.id) end
  return (a.line or 0) < (b.line or 0)
end

---All rows of a table, of one user, or (items) of one order.
function Model:all(name, user, order)
  local rows = {}
  for _, row in pairs(self.tables[name]) do
    local owner = model.inside[name] and self:owner(name, row.id)
    if (not user or owner == self:fold(user)) and (not order or row.id == order) then
      rows[#rows + 1] = shown(name, row)
    end
  end
  table.sort(rows, before)
  return rows
end

function acts.list(self, st) return { rows = self:all(st[2], st.u, st.id), changes = 0 } end

---Does the statement.
---@return { rows: table[], changes: integer, error: string? }? expected nil: there is no telling, it is not to be done
function Model:apply(st) return acts[st[1]](self, st) end

---The same for several, all or none.
---@return table[]? expected, string? err the code of the error of the first that fails, boolean? orphan
function Model:apply_all(statements)
  local copy, answers = self:copy(), {}
  for i, st in ipairs(statements) do
    local answer = copy:apply(st)
    if not answer then return nil end
    if answer.error then return answers, answer.error, answer.orphan end
    answers[i] = answer
  end
  self.tables = copy.tables
  return answers
end

---What tells the whole state.
function Model:contents()
  local out = {}
  for name in pairs(self.tables) do out[name] = self:all(name) end
  return out
end

return model
