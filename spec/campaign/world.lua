-- The files that a scenario works on: made once, and put back before each attempt.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local forks = require "forks"
local ledger = require "spec.campaign.ledger"
local lfs = require "lfs"
local moves = require "collegedb.moves"
local presence = require "collegedb.single_presence"
local writer = require "spec.campaign.writer"

local world = {}

local World = {}
World.__index = World

local SCHEMA <const> = [[
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
  n INTEGER);
CREATE INDEX IF NOT EXISTS orders_user ON orders (user_id);
CREATE TABLE IF NOT EXISTS items (order_id TEXT REFERENCES orders ON DELETE CASCADE, line INTEGER, n INTEGER,
  PRIMARY KEY (order_id, line));]]

local SHARDS <const> = { "a", "b", "c" }
local OLD <const> = "old" -- a file that was there before, with users of its own
local MORE <const> = "more" -- for a shard that is added while programs run
local DATABASES <const> = { "a", "b", "c", OLD, MORE, "directory" }
local KEYS <const>, OLD_KEYS <const> = 12, 9

local STEADY <const> = "c" -- the shard of no move, where every acknowledged write outlives a power cut

world.LATER = 120 -- seconds: past the lease of a move

local new_presence, is_later = presence.new, false

-- A user of a single directory bears the number of its process.
function presence.new(store)
  local self = new_presence(store)
  local file <close> = assert(io.open "/proc/self/stat")
  self.id = ("%d:%s"):format(file:read "n", self.id)
  return self
end

-- Those that have ended are not there any more; those that live are.
local function end_leases(path)
  local shard = core.sqlite(path, { name = "the directory" })
  local done, rows = pcall(shard.all, shard, "SELECT id FROM _collegedb_users")
  for _, row in ipairs(done and rows or {}) do
    if not lfs.attributes("/proc/" .. row.id:match "^%d+") then
      pcall(shard.run, shard, "DELETE FROM _collegedb_users WHERE id = ?", { row.id })
    end
  end
  core.close(shard)
end

---From now on this process lives later than the others: leases of dead movers have run out.
function world.later()
  is_later = true
  local time = os.time
  os.time = function(t) return time(t) + (t and 0 or world.LATER) end -- luacheck: ignore 122
  -- The directory's clock tells of leases.
  function moves.is_live(directory, number, begun)
    local row = directory.journal:first("SELECT lease >= unixepoch() + ? AS live FROM _collegedb_moves "
      .. "WHERE number = ?", { world.LATER, number })
    if row then return row.live == 1 end
    return begun ~= nil and begun + moves.lease >= os.time()
  end
  function moves.dead(directory)
    local numbers = {}
    for row in directory.journal:each("SELECT number FROM _collegedb_moves WHERE lease < unixepoch() + ?",
        { world.LATER }) do
      numbers[#numbers + 1] = row.number
    end
    return numbers
  end
end

-- Names of the files, with those of the databases' folders.
local function file_names(folder)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find "^log%-" then names[#names + 1] = name end
  end
  for _, database in ipairs(DATABASES) do
    for name in lfs.dir(folder .. "/" .. database) do
      if name ~= "." and name ~= ".." then names[#names + 1] = database .. "/" .. name end
    end
  end
  return names
end

function World:path(name) return self.folder .. "/" .. name end

-- Each database has a folder of its own, as on a disk of its own: no sync of one is a sync of another.
function World:database(name) return self:path(name .. "/" .. name .. ".db") end

---@param extra table? further fields
function World:config(extra)
  local kv = collegedb.sqlite(self:database "directory")
  kv.single = self.single.directory
  local config = { kv = kv, auto_migrate = false, shards = {} }
  for i, name in ipairs(self.shards) do
    local synchronous = self.synchronous
    if name == STEADY or self.single[name] then synchronous = "extra" end
    local value = collegedb.sqlite(self:database(name))
    value.single = self.single[name]
    config.shards[i] = { name = name, value, journal_mode = self.journal_mode, busy_timeout = self.busy_timeout,
      synchronous = synchronous }
  end
  for field, value in pairs(extra or {}) do config[field] = value end
  return config
end

function World:open(extra)
  if is_later and self.single.directory then pcall(end_leases, self:database "directory") end
  return collegedb.open(self:config(extra))
end

---The ledgers that were written.
function World:ledgers()
  local list = {}
  for _, name in ipairs(file_names(self.folder)) do
    if name:find "^log%-" then list[#list + 1] = self:path(name) end
  end
  return list
end

---Name → path of the shards that are there.
function World:files()
  local files = {}
  for _, name in ipairs(DATABASES) do
    local path = self:database(name)
    if name ~= "directory" and lfs.attributes(path, "mode") then files[name] = path end
  end
  return files
end

---Puts the files back. Only while this process has none of them open.
function World:reset()
  for _, name in ipairs(file_names(self.folder)) do os.remove(self:path(name)) end
  for name, text in pairs(self.template) do
    local file <close> = assert(io.open(self:path(name), "wb"))
    assert(file:write(text))
  end
end

function World:remove()
  for _, name in ipairs(file_names(self.folder)) do os.remove(self:path(name)) end
  for _, name in ipairs(DATABASES) do lfs.rmdir(self:path(name)) end
  lfs.rmdir(self.folder)
end

---A child that must end with the status 0, or `other`.
function world.child(f, other)
  local pid, from, into = forks.start(f)
  local text = from:read "a"
  from:close()
  into:close()
  local status = forks.wait(pid)
  if status ~= 0 and status ~= other then error(("a child ended with %d: %s"):format(status, text), 0) end
  return status, text
end

-- Users of one shard first: what is moved together comes from one place.
local function sorted_keys(db, shards)
  local by_shard, keys = {}, {}
  for _, name in ipairs(shards) do by_shard[name] = {} end
  for i = 1, KEYS do table.insert(by_shard[db:locate("k" .. i)], "k" .. i) end
  for i = 1, by_shard[OLD] and OLD_KEYS or 0 do table.insert(by_shard[OLD], "old" .. i) end
  for _, name in ipairs(shards) do table.move(by_shard[name], 1, #by_shard[name], #keys + 1, keys) end
  return keys
end

-- Only home decides where a key is before anything moved; so this tells without opening the files.
local function learn(self)
  local _, text = world.child(function(_, to)
    local db <close> = self:open()
    db:ensure_schema(SCHEMA)
    for _, key in ipairs(sorted_keys(db, self.shards)) do to:write(key, " ", (db:locate(key)), "\n") end
  end)
  self.keys, self.home = {}, {}
  for key, name in text:gmatch "(%S+) (%S+)\n" do
    table.insert(self.keys, key)
    self.home[key] = name
  end
end

-- Users that no CollegeDB has seen.
local function make_old(self)
  local shard = core.sqlite(self:database(OLD), { journal_mode = "delete" })
  shard:exec(SCHEMA)
  local book = ledger.open(self:path "log-old")
  for i = 1, OLD_KEYS do
    local key = "old" .. i
    book:write({ "users:" .. key .. "+0", ("orders:o_%s=%s/1"):format(key, key) }, function()
      shard:run("INSERT INTO users VALUES (?, 0)", { key })
      shard:run("INSERT INTO orders VALUES (?, ?, 1)", { "o_" .. key, key })
    end)
  end
  core.close(shard)
  return 0
end

local function fill(self, scenario)
  local status = world.child(function()
    local db <close> = self:open()
    for _, key in ipairs(self.keys) do
      if not key:find "^old" then db:insert(key, "INSERT INTO users VALUES (?, 0)", { key }) end
    end
    writer.new(db, self:path "log-first", "first"):round(self.keys)
    if scenario.prepare then scenario.prepare(self, db) end
  end, 99)
  assert(status == 0 or scenario.dies, "the preparation died")
end

---Keys whose home is a shard.
function World:keys_of(name)
  local list = {}
  for _, key in ipairs(self.keys) do
    if self.home[key] == name then list[#list + 1] = key end
  end
  return list
end

---@param scenario { prepare: function?, journal_mode: string?, synchronous: string?, dies: boolean?, old: boolean?,
---single: table<string, boolean>? } dies: preparing it ends the process; old: with a fourth shard that has existing
---data; single: shards, or the directory, that take a statement at a time
function world.new(scenario)
  local parent = os.getenv "TMPDIR" or (lfs.attributes("/dev/shm", "mode") == "directory" and "/dev/shm") or "/tmp"
  local pipe <close> = assert(io.popen(("mktemp -d '%s/campaign.XXXXXX'"):format(parent)))
  local self = setmetatable({ folder = assert(pipe:read "l"), template = {}, journal_mode = scenario.journal_mode,
    synchronous = scenario.synchronous, single = scenario.single or {}, shards = { table.unpack(SHARDS) } }, World)
  if scenario.old then table.insert(self.shards, OLD) end
  for _, name in ipairs(DATABASES) do assert(lfs.mkdir(self:path(name))) end
  if scenario.old then world.child(function() return make_old(self) end) end
  learn(self)
  fill(self, scenario)
  for _, name in ipairs(file_names(self.folder)) do
    if not name:find "%-shm$" then
      local file <close> = assert(io.open(self:path(name), "rb"))
      self.template[name] = file:read "a"
    end
  end
  return self
end

return world
