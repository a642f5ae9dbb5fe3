--- Who has a directory in a table KV open: a list in the KV, since there is no
-- file to lock. Whoever opens it enters itself first; what must not be done under others is done only by one that
-- stands there alone, and keeps newcomers out meanwhile. A process that ended without closing is passed over where this
-- machine can tell that it has; else the list has to be deleted by hand.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local format = require "collegedb.kv_format"

local users = {}

users.KEY = "collegedb:users"

local ATTEMPTS = 200 -- some five seconds of pauses
local ATTEMPTS_LEAVING = 20 -- closing is not held up for so long

---@class collegedb.KVUser
local User = {}
User.__index = User

-- --- which processes are there ------------------------------------------------------------

local function read(path)
  local file = io.open(path, "r")
  local text = file and file:read "a"
  if file then file:close() end
  return text and text:match "^%s*(.-)%s*$"
end

-- Number and start of a process: together they name it. The name in between may hold anything.
local function process(id)
  local text = tostring(id):find "^%w+$" and read(("/proc/%s/stat"):format(id))
  if not text then return nil end
  local fields = {}
  for field in text:match ".*%)%s(.*)":gmatch "%S+" do fields[#fields + 1] = field end
  return text:match "^%d+", fields[20]
end

local function random_name() return ("%016x"):format(core.random()) end

local state = random_name() -- of this Lua state
local open = setmetatable({}, { __mode = "v" })

local function myself()
  local pid, start = process "self"
  return { pid = pid, start = start, state = state, boot = read "/proc/sys/kernel/random/boot_id",
    namespace = core.file_id "/proc/self/ns/pid" }
end

-- Only where it is certain: on this boot of this machine, in a namespace of processes whose processes all are seen.
local function has_ended(id, user)
  local me = myself()
  if not me.boot or user.boot ~= me.boot or user.namespace ~= me.namespace then return false end
  if user.pid == me.pid and user.start == me.start then return user.state == state and not open[id] end
  if not read "/proc/1/stat" then return false end
  local _, start = process(user.pid)
  return start ~= user.start
end

-- --- the list -------------------------------------------------------------------------------

local function load_list(raw)
  local list = raw and format.decode(users.KEY, raw) or {}
  list = type(list) == "table" and list or {}
  list.users = type(list.users) == "table" and list.users or {}
  for id, user in pairs(list.users) do
    if type(user) ~= "table" then
      errors.raise("CORRUPT", { kv_key = users.KEY }, "the value of %q in the table KV is no list of users", users.KEY)
    end
    if has_ended(id, user) then list.users[id] = nil end
  end
  if not list.users[list.alone] then list.alone = nil end
  return list
end

-- Changes the list by `f(list)`, again whenever another was quicker; f returns false to wait, nil to give up.
local function change(store, attempts, f)
  for attempt = 1, attempts do
    local raw = store:get(users.KEY)
    local list = load_list(raw)
    local answer = f(list)
    if answer == nil then return false end
    if answer and store:cas(users.KEY, raw, format.encode(list)) then return true end
    store:pause(attempt)
  end
  errors.raise("BUSY", { kv_key = users.KEY }, "another program changes the directory in the table KV, and does not "
    .. "end; if none has it open, delete the key %s from the KV", users.KEY)
end

--- Enters itself; waits while another one is alone.
---@param store collegedb.KVStore
---@return collegedb.KVUser
function users.join(store)
  local self = setmetatable({ store = store, id = random_name() }, User)
  open[self.id] = self
  change(store, ATTEMPTS, function(list)
    if list.alone then return false end
    list.users[self.id] = myself()
    return true
  end)
  return self
end

--- Strikes itself out.
function User:leave()
  open[self.id] = nil
  change(self.store, ATTEMPTS_LEAVING, function(list)
    list.users[self.id] = nil
    return true
  end)
end

--- Runs `f` while nobody else has the directory open; false if somebody has.
---@return boolean done
function User:alone(f)
  local store = self.store
  local is_alone = change(store, ATTEMPTS, function(list)
    for id in pairs(list.users) do
      if id ~= self.id then return nil end
    end
    list.users[self.id], list.alone = myself(), self.id
    return true
  end)
  if not is_alone then return false end
  local done, err = pcall(f)
  change(store, ATTEMPTS, function(list)
    list.alone = nil
    return true
  end)
  if not done then error(err, 0) end
  return true
end

return users
