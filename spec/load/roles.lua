-- What the programs of a load do, each until the fleet's file `stop` is there: five write and read, one moves keys, one
-- adds, drains and rebalances, one integrates old files and gives them back.

local client = require "spec.load.client"
local collegedb = require "collegedb"
local core = require "collegedb.core"
local forks = require "forks"
local lfs = require "lfs"
local meter = require "spec.load.meter"
local move = require "collegedb.workflows.move"

local roles = {}

local MANY <const> = 40 -- keys that are moved at once, at most

-- What a mover may be answered, and why.
local MEETS <const> = {
  CONFLICT = true, -- another program moves the same key, closes the shard, or changed tables
  MOVED = true,    -- the key left before the move began
  MOVING = true,   -- what holds the key is stopped
  BUSY = true,     -- a file is locked by a program that is stopped, or another program moves keys between shards
  MAPPING_NOT_FOUND = true, -- not of a key that is there all the time, but of one that is inserted or deleted meanwhile
}
local SAYS <const> = {
  "was drained",      -- the target was closed by the program that drains
  "is there already", -- the shard was added before
}

local function is_allowed(name, err)
  local is_there = name ~= "move of a key" or err.code ~= "MAPPING_NOT_FOUND"
  if collegedb.is_error(err) and MEETS[err.code] and is_there then return err.code end
  for _, words in ipairs(SAYS) do
    if tostring(err):find(words, 1, true) then return words end
  end
end

-- Counted as done, or as refused for a reason that is allowed.
local function try(me, name, f, ...)
  local arguments = table.pack(...)
  me.meter:time(name, false, function()
    local done, err = pcall(f, me, table.unpack(arguments))
    if done then return me.meter:count("done " .. name) end
    local why = is_allowed(name, err)
    if not why then error(err, 0) end
    me.meter:count(("refused %s: %s"):format(name, why))
  end)
end

local function is_over(fleet) return lfs.attributes(fleet:path "stop", "mode") ~= nil end

-- While everybody comes and goes the files can be held for longer than one waits.
local function open(fleet, seed)
  local settings = { mapping_cache_ttl = seed % 3 == 0 and 0.05 or 30,
    consistency = seed % 2 == 0 and "strict" or "cached" }
  repeat
    local done, db = pcall(fleet.open, fleet, settings)
    if done then return db end
    if not collegedb.is_error(db, "BUSY") then error(db, 0) end
  until is_over(fleet)
end

-- A function that runs a role in a process of its own. Who fails ends the others, so that they do not cover it up.
local function role(begin, step)
  return function(fleet, name, seed, begun)
    return function()
      math.randomseed(seed)
      local done, err = pcall(function()
        local db = open(fleet, seed)
        if not db then return end
        local me = begin(db, fleet, name, begun)
        while not is_over(fleet) do step(me) end
        me.meter:save(forks.now())
        db:close()
      end)
      if done then return 0 end
      assert(io.open(fleet:path "stop", "w")):close()
      error(err, 0)
    end
  end
end

roles.client = role(client.new, function(me)
  for _ = 1, 20 do me:act() end
end)

local function with_meter(db, fleet, name, begun)
  return { db = db, fleet = fleet, begun = begun, meter = meter.open(fleet:path("meter-" .. name)) }
end

-- --- one that moves ---------------------------------------------------------------------------------

local function any_shard(me)
  local names = me.db:list_known_shards()
  return names[math.random(#names)]
end

local function move_one(me)
  local key = me.fleet.keys[math.random(#me.fleet.keys)]
  me.db:reassign_shard(key, any_shard(me))
end

-- One that programs insert about now.
local function move_new(me)
  local n = math.floor((forks.now() - me.begun) * client.NEW) + math.random(client.NEW)
  me.db:reassign_shard("h" .. n, any_shard(me))
end

-- The group of an order.
local function move_by_row(me)
  local row = me.db:shard(any_shard(me)):first "SELECT id FROM orders ORDER BY random() LIMIT 1"
  if row then me.db:reassign_shard(row.id, any_shard(me), "orders") end
end

local function move_many(me)
  local db, from, to = me.db, any_shard(me), any_shard(me)
  if from == to or from:find "^o" then return end
  local keys = {}
  for row in db:shard(from):each("SELECT id FROM users ORDER BY random() LIMIT ?", { math.random(MANY) }) do
    keys[#keys + 1] = row.id
  end
  if #keys == 0 then return end
  local state = core.state(db)
  state:read_epoch()
  move.run(state, { keyspace = "", keys = keys, source = state.by_name[from], target = state.by_name[to] })
  db:flush_cache()
end

roles.mover = role(with_meter, function(me)
  local dice = math.random(10)
  if dice <= 5 then try(me, "move of a key", move_one)
  elseif dice <= 7 then try(me, "move of a new key", move_new)
  elseif dice <= 8 then try(me, "move of an order's key", move_by_row)
  else try(me, "move of many keys", move_many) end
end)

-- --- one that grows and shrinks -----------------------------------------------------------------------

-- Keys that others moved meanwhile, or put there again, are left for the next time.
local function count_unfinished(me, what, report)
  if report.success then return end
  me.meter:count(("unfinished %s: %s"):format(what, report.failed[1] and report.failed[1].code or "-"))
end

local function rebalance(me)
  count_unfinished(me, "rebalance", me.db:rebalance { policy = math.random(3) == 1 and "even" or "home" })
end

local function drain(me, name) count_unfinished(me, "drain", me.db:drain(name)) end
local function add(me, name) me.db:add_shard(me.fleet:shard(name)) end

local function is_known(me, name)
  for _, known in ipairs(me.db:list_known_shards()) do
    if known == name then return true end
  end
end

roles.grower = role(with_meter, function(me)
  local names = math.random(3) == 1 and me.fleet.steady or me.fleet.more
  local name = names[math.random(4)]
  local dice = math.random(3)
  if dice == 1 then try(me, "rebalance", rebalance)
  elseif dice == 2 and is_known(me, name) then try(me, "drain", drain, name)
  else try(me, "add a shard", add, name) end
end)

-- --- one that integrates --------------------------------------------------------------------------------

local function roll_back(me, name) me.db:rollback(name) end

local function integrate(me, name)
  me.db:integrate(name, { resume = math.random(2) == 1, page = math.random(50), batch = math.random(20) })
end

roles.integrator = role(with_meter, function(me)
  local name = me.fleet.old[math.random(#me.fleet.old)]
  if math.random(3) == 1 then try(me, "rollback", roll_back, name) else try(me, "integration", integrate, name) end
  forks.pause(math.random() * 0.2)
end)

return roles
