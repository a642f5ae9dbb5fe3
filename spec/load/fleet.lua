-- The files of a load: 32 shards and a directory. Some shards are there from the beginning, some come and go, and some
-- are files with users of their own, which are integrated and given back.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local ledger = require "spec.campaign.ledger"
local lfs = require "lfs"
local world = require "spec.campaign.world"

local fleet = {}

local Fleet = {}
Fleet.__index = Fleet

local STEADY <const>, MORE <const>, OLD <const> = 24, 4, 4 -- shards of each kind
local OLD_KEYS <const> = 60                                -- users of each old file

local SCHEMA <const> = [[
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
  n INTEGER);
CREATE INDEX IF NOT EXISTS orders_user ON orders (user_id);
CREATE TABLE IF NOT EXISTS items (order_id TEXT REFERENCES orders ON DELETE CASCADE, line INTEGER, n INTEGER,
  PRIMARY KEY (order_id, line));]]

local function names(prefix, count)
  local list = {}
  for i = 1, count do list[i] = ("%s%02d"):format(prefix, i) end
  return list
end

function Fleet:path(name) return self.folder .. "/" .. name end
function Fleet:database(name) return self:path(name .. ".db") end

---The shard's table in a config, or for db:add_shard.
function Fleet:shard(name)
  local value = collegedb.sqlite(self:database(name))
  value.single = self.single[name]
  return { name = name, value }
end

---@param extra table? further fields
function Fleet:open(extra)
  local config = { kv = self:database "directory", auto_migrate = false, shards = {} }
  for _, name in ipairs(self.steady) do table.insert(config.shards, self:shard(name)) end
  for _, name in ipairs(self.old) do table.insert(config.shards, self:shard(name)) end
  for field, value in pairs(extra or {}) do config[field] = value end
  return collegedb.open(config)
end

local function names_in(folder, prefix)
  local list = {}
  for name in lfs.dir(folder) do
    if name:find("^" .. prefix .. "%-") then list[#list + 1] = folder .. "/" .. name end
  end
  return list
end

function Fleet:ledgers() return names_in(self.folder, "log") end
function Fleet:meters() return names_in(self.folder, "meter") end

---Name → path of the shards that are there.
function Fleet:files()
  local files = {}
  for _, list in ipairs { self.steady, self.more, self.old } do
    for _, name in ipairs(list) do
      if lfs.attributes(self:database(name), "mode") then files[name] = self:database(name) end
    end
  end
  return files
end

function Fleet:remove()
  for name in lfs.dir(self.folder) do os.remove(self:path(name)) end
  lfs.rmdir(self.folder)
end

-- Users that no CollegeDB has seen.
local function make_old(self)
  local book = ledger.open(self:path "log-old")
  for _, name in ipairs(self.old) do
    local shard = core.sqlite(self:database(name), {})
    shard:exec(SCHEMA)
    for i = 1, OLD_KEYS do
      local key = ("%s_%d"):format(name, i)
      book:write({ "users:" .. key .. "+0", ("orders:o_%s=%s/1"):format(key, key) }, function()
        shard:run("INSERT INTO users VALUES (?, 0)", { key })
        shard:run("INSERT INTO orders VALUES (?, ?, 1)", { "o_" .. key, key })
      end)
    end
    core.close(shard)
  end
  return 0
end

local function fill(self)
  local db <close> = self:open()
  db:ensure_schema(SCHEMA)
  local book = ledger.open(self:path "log-first")
  for _, key in ipairs(self.keys) do
    if key:find "^k" then
      assert(book:write({ "users:" .. key .. "+0" }, function()
        db:insert(key, "INSERT INTO users VALUES (?, 0)", { key })
      end))
    end
  end
  return 0
end

---@param keys integer users that are there from the beginning, beside those of the old files
---@param single table<string, boolean>? shards that take a statement at a time; of those that every program has in its
--- config, since the directory does not tell of it
function fleet.new(keys, single)
  for name in pairs(single or {}) do assert(name:find "^[so]%d%d$", name .. " is not in the config") end
  local parent = os.getenv "TMPDIR" or (lfs.attributes("/dev/shm", "mode") == "directory" and "/dev/shm") or "/tmp"
  local pipe <close> = assert(io.popen(("mktemp -d '%s/load.XXXXXX'"):format(parent)))
  local self = setmetatable({ folder = assert(pipe:read "l"), single = single or {}, steady = names("s", STEADY),
    more = names("m", MORE), old = names("o", OLD), keys = {} }, Fleet)
  for i = 1, keys do self.keys[i] = "k" .. i end
  for _, name in ipairs(self.old) do
    for i = 1, OLD_KEYS do table.insert(self.keys, ("%s_%d"):format(name, i)) end
  end
  world.child(function() return make_old(self) end)
  world.child(function() return fill(self) end)
  return self
end

return fleet
