-- The files that memory runs out over: made once for a scenario, and put back before each attempt.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local lfs = require "lfs"
local scenarios = require "spec.allocation.scenarios"

local World = {}
World.__index = World

World.schema = [[
CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER NOT NULL, note TEXT);
CREATE TABLE orders (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE, n INTEGER);
CREATE INDEX orders_user ON orders (user_id);
CREATE TABLE codes (id TEXT COLLATE NOCASE PRIMARY KEY, n INTEGER);]]

local KEYS <const> = 8

function World:path(name) return self.folder .. "/" .. name end

function World:config(extra)
  local config = { kv = self:path "directory.db", auto_migrate = false, shards = {} }
  for i, name in ipairs(self.shards) do
    config.shards[i] = { name = name, self:path(name .. ".db"), busy_timeout = 0.05, synchronous = "off" }
  end
  for _, fields in ipairs { self.extra, extra } do
    for field, value in pairs(fields) do config[field] = value end
  end
  return config
end

function World:open(extra) return collegedb.open(self:config(extra)) end

local function names_in(folder)
  local names = {}
  for name in lfs.dir(folder) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  return names
end

---Puts the files back. Only while this process has none of them open.
function World:reset()
  for _, name in ipairs(names_in(self.folder)) do os.remove(self:path(name)) end
  for name, text in pairs(self.template) do
    local file <close> = assert(io.open(self:path(name), "wb"))
    assert(file:write(text))
  end
end

function World:remove()
  for _, name in ipairs(names_in(self.folder)) do os.remove(self:path(name)) end
  lfs.rmdir(self.folder)
end

local function fill(self, scenario)
  if scenario.old then scenarios.make_old(self) end
  if scenario.wide then scenarios.make_wide(self) end
  if scenario.utf16 then
    for _, name in ipairs { "a", "b" } do
      local shard = core.sqlite(self:path(name .. ".db"), {})
      shard:exec "PRAGMA encoding = 'UTF-16'; CREATE TABLE made (id); DROP TABLE made"
      core.close(shard)
    end
  end
  local db <close> = self:open()
  db:ensure_schema((self.schema:gsub("CREATE (%u+) ", "CREATE %1 IF NOT EXISTS ")))
  for i = 1, KEYS do
    local key = "k" .. i
    db:insert(key, scenarios.INSERT, { key, 1, scenarios.TEXT })
    for n = 1, 2 do db:run(key, "INSERT INTO orders VALUES (?, ?, ?)", { key .. "_" .. n, key, n }) end
    self.keys[i], self.home[key] = key, db:locate(key)
    table.insert(self.on[self.home[key]], key)
    db:insert("Code" .. i, "INSERT INTO codes VALUES (?, ?)", { "Code" .. i, i })
  end
  if scenario.prepare then scenario.prepare(self, db) end
end

---@param scenario table
function World.new(scenario)
  local parent = lfs.attributes("/dev/shm", "mode") == "directory" and "/dev/shm" or "/tmp"
  local pipe <close> = assert(io.popen(("mktemp -d '%s/allocation.XXXXXX'"):format(os.getenv "TMPDIR" or parent)))
  local self = setmetatable({ folder = assert(pipe:read "l"), template = {}, keys = {}, home = {}, new = "new",
    on = { a = {}, b = {}, old = {}, wide = {} }, extra = scenario.config or {} }, World)
  self.shards = { "a", "b", scenario.old and "old" or scenario.wide and "wide" }
  if scenario.fresh then return self end
  fill(self, scenario)
  for _, name in ipairs(names_in(self.folder)) do
    local file <close> = assert(io.open(self:path(name), "rb"))
    self.template[name] = file:read "a"
  end
  return self
end

local function look_into(path, name, seen, wrong)
  local shard = core.sqlite(path, {})
  local there = shard:first "SELECT 1 FROM sqlite_schema WHERE name = 'orders'"
  for _, row in ipairs(there and shard:all "SELECT id FROM users UNION ALL SELECT id FROM orders" or {}) do
    if seen[row.id] then wrong[#wrong + 1] = ("%s is on %s and on %s"):format(row.id, seen[row.id], name) end
    seen[row.id] = name
  end
  for _, row in ipairs(there and shard:all "SELECT id FROM orders WHERE user_id NOT IN (SELECT id FROM users)" or {}) do
    wrong[#wrong + 1] = ("the order %s has no user on %s"):format(row.id, name)
  end
  core.close(shard)
end

---Rows of all shards, past every router: each user and order once.
---@return string[] # what is wrong
function World:wrong_rows()
  local seen, wrong = {}, {}
  for _, name in ipairs { "a", "b", "old", "wide", "more" } do
    if lfs.attributes(self:path(name .. ".db"), "size") then look_into(self:path(name .. ".db"), name, seen, wrong) end
  end
  for _, key in ipairs(self.keys) do
    for _, id in ipairs { key, key .. "_1", key .. "_2" } do
      if not seen[id] then wrong[#wrong + 1] = id .. " is gone" end
    end
  end
  return wrong
end

return World
