-- A program that writes and reads while others move what it works on, and notes each write in its ledger.

local ledger = require "spec.campaign.ledger"

local writer = {}

local Writer = {}
Writer.__index = Writer

---@param db userdata
---@param path string of its ledger
---@param name string no other writer's: its rows are its own
---@param allowed table<string, boolean>? codes of errors that a statement may end with
function writer.new(db, path, name, allowed)
  return setmetatable({ db = db, book = ledger.open(path), name = name, allowed = allowed or {}, rows = {}, count = 0 },
    Writer)
end

---Notes and makes a change. Raises what is not allowed; not that a shard has no transactions.
function Writer:write(changes, f)
  local done, err = self.book:write(changes, f, self.open)
  if not done and type(err) == "table" and err.code == "UNSUPPORTED" then return false end
  if not done and not self.allowed[type(err) == "table" and err.code] then error(err, 0) end
  return done
end

local function expect(result, n)
  if result.meta.changes ~= n then error(("%d rows were changed, not %d"):format(result.meta.changes, n), 0) end
end

local function value_of(key, n) return ("=%s/%d"):format(key, n) end

-- --- what it does ----------------------------------------------------------------------

local acts = {}

function acts.add(self, key)
  self.count = self.count + 1
  local row = { id = ("%s_%d"):format(self.name, self.count), key = key, n = 1, items = 0 }
  if self:write({ "orders:" .. row.id .. value_of(key, 1) }, function()
    self.db:insert(key, "INSERT INTO orders VALUES (?, ?, 1)", { row.id, key })
  end) then self.rows[key] = row end
end

-- By the order's own key, which tells no shard.
function acts.item(self, key)
  local row = self.rows[key]
  if not row then return acts.add(self, key) end
  local line = row.items + 1
  row.items = line
  self:write({ ("items:%s.%d=7"):format(row.id, line) }, function()
    self.db:insert(row.id, "INSERT INTO items VALUES (?, ?, 7)", { row.id, line })
  end)
end

function acts.change(self, key)
  local row = self.rows[key]
  if not row then return acts.add(self, key) end
  local n = row.n + 1
  local done = self:write({ "orders:" .. row.id .. value_of(key, n) }, function()
    expect(self.db:run(key, "UPDATE orders SET n = ? WHERE id = ? AND user_id = ?", { n, row.id, key }), 1)
  end)
  if done then row.n = n elseif self.open then self.rows[key] = nil end
end

function acts.count(self, key)
  self:write({ "users:" .. key .. "+1" }, function()
    expect(self.db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }), 1)
  end)
end

function acts.all(self, key)
  self.count = self.count + 1
  local id = ("%s_%d"):format(self.name, self.count)
  local changes = { "orders:" .. id .. value_of(key, 1), "items:" .. id .. ".1=7", "users:" .. key .. "+1" }
  local done = self:write(changes, function()
    self.db:transaction(key, function(tx)
      tx:run("INSERT INTO orders VALUES (?, ?, 1)", { id, key })
      tx:run("INSERT INTO items VALUES (?, 1, 7)", { id })
      tx:run("UPDATE users SET n = n + 1 WHERE id = ?", { key })
    end)
  end)
  if done and not self.rows[key] then self.rows[key] = { id = id, key = key, n = 1, items = 1 } end
end

function acts.drop(self, key)
  local row = self.rows[key]
  if not row then return acts.add(self, key) end
  self.rows[key] = nil
  local changes = { "orders:" .. row.id .. "-" }
  for i = 1, row.items do changes[i + 1] = ("items:%s.%d-"):format(row.id, i) end
  self:write(changes, function()
    self.db:transaction(key, function(tx)
      tx:run("DELETE FROM items WHERE order_id = ?", { row.id })
      expect(tx:run("DELETE FROM orders WHERE id = ?", { row.id }), 1)
    end)
  end)
end

function acts.read(self, key)
  local row = self.rows[key]
  local done, err = pcall(function()
    if not self.db:first(key, "SELECT n FROM users WHERE id = ?", { key }) then error(key .. " is not found", 0) end
    local found = row and self.db:first(key, "SELECT n FROM orders WHERE id = ?", { row.id })
    if row and (not found or found.n ~= row.n) then
      error(("order %s reads as %s, not %d"):format(row.id, found and found.n, row.n), 0)
    end
  end)
  if not done and not self.allowed[type(err) == "table" and err.code] then error(err, 0) end
end

local NAMES = { "add", "item", "change", "count", "all", "drop", "read", "change", "read", "count" }

---One statement or transaction: add, item, change, count, all, drop or read.
---@param name string? by the dice if there is none
function Writer:act(key, name) acts[name or NAMES[math.random(#NAMES)]](self, key) end

---Some of each for each key.
---@param keys string[]
function Writer:round(keys)
  for _, key in ipairs(keys) do
    for _, name in ipairs { "read", "add", "change", "item", "count", "all", "read" } do acts[name](self, key) end
  end
end

return writer
