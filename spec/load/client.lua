-- A program that writes and reads keys of three kinds: old ones, that others count up too; new ones, that several
-- programs insert at the same time; and its own, which it inserts, deletes and inserts again. Whatever it reads must
-- not be older than what it has written or read before.

local forks = require "forks"
local meter = require "spec.load.meter"
local writer = require "spec.campaign.writer"

local client = {}

local Client = {}
Client.__index = Client

-- What a statement may end with here, and why.
local ALLOWED <const> = {
  MOVED = true,  -- a transaction whose key left it, which is never run a second time by itself
  MOVING = true, -- only about a stop: its key's mover is stopped for longer than a write waits
  BUSY = true,   -- only about a stop: a file is locked by a program that is stopped
}

local WORKING <const> = 300 -- keys that one program comes back to
local OWN <const> = 40
client.NEW = 20           -- new keys a second

local function code_of(err) return type(err) == "table" and err.code end

-- In words, without what is different each time.
local function reason(err)
  if not code_of(err) then return tostring(err) end
  return err.code .. ": " .. err.message:gsub("%f[%w]%a*%d+[%w_]*", "…")
end

---@param db userdata
---@param fleet table
---@param name string no other's
---@param begun number when the load began
function client.new(db, fleet, name, begun)
  local self = setmetatable({ db = db, name = name, begun = begun, keys = {}, own = {}, seen = {}, born = 0 }, Client)
  self.writer = writer.new(db, fleet:path("log-" .. name), name, ALLOWED)
  self.meter = meter.open(fleet:path("meter-" .. name))
  local settle = self.writer.book.write
  self.writer.book.write = function(book, ...) -- refused ones are counted too
    local done, err = settle(book, ...)
    if not done then self.meter:refuse(reason(err), code_of(err) == "BUSY" or code_of(err) == "MOVING") end
    return done, err
  end
  for i = 1, WORKING do self.keys[i] = fleet.keys[math.random(#fleet.keys)] end
  return self
end

-- A read; false if it was refused as it may be.
local function ask(self, f)
  local done, err = pcall(f)
  if done then return true end
  if not ALLOWED[code_of(err)] then error(err, 0) end
  self.meter:refuse(reason(err), code_of(err) == "BUSY" or code_of(err) == "MOVING")
  return false
end

-- A number that only grows.
local function check_seen(self, key, n)
  local seen = self.seen[key] or 0
  if n < seen then
    error(("user %s reads as %d at %.6f, and was %d before"):format(key, n, forks.now(), seen), 0)
  end
  self.seen[key] = n
end

-- --- keys that are there --------------------------------------------------------------------------

local acts = {}

function acts.count(self, key)
  local done = self.writer:write({ "users:" .. key .. "+1" }, function()
    local result = self.db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
    if result.meta.changes ~= 1 then error(("%d users %s were changed"):format(result.meta.changes, key), 0) end
  end)
  if done and self.seen[key] then self.seen[key] = self.seen[key] + 1 end
end

function acts.batch(self, key)
  local row = self.writer.rows[key]
  local n = row.n + 1
  local done = self.writer:write({ "users:" .. key .. "+1", ("orders:%s=%s/%d"):format(row.id, key, n) }, function()
    local results = self.db:batch(key, { { "UPDATE users SET n = n + 1 WHERE id = ?", { key } },
      { "UPDATE orders SET n = ? WHERE id = ? AND user_id = ?", { n, row.id, key } } })
    for _, result in ipairs(results) do
      if result.meta.changes ~= 1 then error(("%d rows of %s were changed"):format(result.meta.changes, key), 0) end
    end
  end)
  if done then row.n = n end
end

-- By the order's own key, which tells no shard.
function acts.change_found(self, key)
  local row = self.writer.rows[key]
  local n = row.n + 1
  local done = self.writer:write({ ("orders:%s=%s/%d"):format(row.id, key, n) }, function()
    local result = self.db:run(row.id, "UPDATE orders SET n = ? WHERE id = ?", { n, row.id })
    if result.meta.changes ~= 1 then error(("%d orders %s were changed"):format(result.meta.changes, row.id), 0) end
  end)
  if done then row.n = n end
end

function acts.find(self, key)
  local row, found = self.writer.rows[key], nil
  local sql = "SELECT n FROM orders WHERE id = ?"
  if ask(self, function() found = self.db:first(row.id, sql, { row.id }) end) and (found and found.n) ~= row.n then
    error(("order %s is found as %s at %.6f, not %d"):format(row.id, found and found.n, forks.now(), row.n), 0)
  end
end

function acts.look(self, key)
  ask(self, function()
    local row = self.db:first(key, "SELECT n FROM users WHERE id = ?", { key })
    if not row then error(("user %s is not found at %.6f"):format(key, forks.now()), 0) end
    check_seen(self, key, row.n)
  end)
end

function acts.loop(self, key)
  local row, found = self.writer.rows[key], nil
  local done = ask(self, function()
    for order in self.db:each(key, "SELECT id, n FROM orders WHERE user_id = ?", { key }) do
      if order.id == row.id then found = order.n end
    end
  end)
  if done and found ~= row.n then error(("a loop has %s as %s, not %d"):format(row.id, found, row.n), 0) end
end

-- --- keys that several insert ---------------------------------------------------------------------

function acts.upsert(self)
  local key = "h" .. math.floor((forks.now() - self.begun) * client.NEW) + math.random(client.NEW)
  local done = self.writer:write({ "users:" .. key .. "+1" }, function()
    self.db:insert(key, "INSERT INTO users VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1", { key })
  end)
  if not done then return end
  self.seen[key] = (self.seen[key] or 0) + 1
  acts.look(self, key)
end

-- --- keys of its own ------------------------------------------------------------------------------

local function change_own(self, i, n, sql, params)
  local key = ("%s_u%d"):format(self.name, i)
  local done = self.writer:write({ "users:" .. key .. (n and "=" .. n or "-") }, function()
    local result = self.db:run(key, sql, params)
    if result.meta.changes ~= 1 then error(("%d users %s were changed"):format(result.meta.changes, key), 0) end
  end)
  if done then self.own[i] = n end
end

function acts.own(self)
  local i = math.random(OWN)
  local key, n = ("%s_u%d"):format(self.name, i), self.own[i]
  self.born = self.born + 1
  if not n then change_own(self, i, self.born, "INSERT INTO users VALUES (?, ?)", { key, self.born })
  elseif math.random(3) == 1 then change_own(self, i, nil, "DELETE FROM users WHERE id = ?", { key })
  else change_own(self, i, self.born, "UPDATE users SET n = ? WHERE id = ?", { self.born, key }) end
end

function acts.look_at_own(self)
  local i, row = math.random(OWN), nil
  local key = ("%s_u%d"):format(self.name, i)
  if not ask(self, function() row = self.db:first(key, "SELECT n FROM users WHERE id = ?", { key }) end) then return end
  if (row and row.n) ~= self.own[i] then
    error(("user %s reads as %s at %.6f, not %s"):format(key, row and row.n, forks.now(), self.own[i]), 0)
  end
end

-- --- what it does ------------------------------------------------------------------------------------

local READS <const> = { look = true, loop = true, look_at_own = true, read = true, find = true }
local WITH_ORDER <const> = { "count", "look", "item", "change", "change", "change_found", "find", "batch", "loop",
  "read", "drop", "upsert", "own", "look_at_own" }
local WITHOUT <const> = { "count", "look", "add", "all", "upsert", "own", "look_at_own" }

---One statement or transaction, by the dice.
function Client:act()
  local key = self.keys[math.random(#self.keys)]
  local list = self.writer.rows[key] and WITH_ORDER or WITHOUT
  local name = list[math.random(#list)]
  if acts[name] then self.meter:time(name, not READS[name], acts[name], self, key)
  else self.meter:time(name, not READS[name], self.writer.act, self.writer, key, name) end
end

function Client:close()
  self.meter:save(forks.now())
  self.db:close()
end

return client
