-- What goes on in a storm: { name, prepare = as of scenarios.lua, step = function(world, db) }. Each step is one
-- operation of many that are begun until the process is killed.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local move = require "collegedb.workflows.move"

local SHARDS <const> = { "a", "b", "c" }

local function move_one(w, db)
  db:reassign_shard(w.keys[math.random(#w.keys)], SHARDS[math.random(#SHARDS)])
end

-- Whatever lives on one shard goes to another one, as many as the dice say.
local function move_many(w, db)
  local from, to = math.random(#SHARDS), math.random(#SHARDS)
  local keys, most = {}, math.random(6)
  for _, key in ipairs(w.keys) do
    if #keys < most and db:locate(key) == SHARDS[from] then keys[#keys + 1] = key end
  end
  if from == to or #keys == 0 then return end
  local state = core.state(db)
  state:read_epoch()
  move.run(state, { keyspace = "", keys = keys, source = from, target = to })
  db:flush_cache()
end

local function move_some(w, db)
  local done, err = pcall(math.random(2) == 1 and move_one or move_many, w, db)
  if not done and not tostring(err):find "was drained" then error(err, 0) end
end

-- Taken over, or given back.
local function integrate_or_not(_, db)
  if math.random(3) == 1 then return db:rollback "old" end
  db:integrate("old", { resume = math.random(2) == 1, page = math.random(5), batch = math.random(3) })
end

-- Shards come, are emptied, and come again.
local function grow_or_shrink(w, db)
  local dice = math.random(6)
  if dice <= 3 then return db:rebalance() end
  local name = dice == 4 and "b" or "more"
  local known = db:list_known_shards()
  table.sort(known)
  if dice <= 5 and table.concat(known, " "):find(name, 1, true) then return db:drain(name) end
  local done, err = pcall(db.add_shard, db, { name = name, w:database(name), synchronous = w.synchronous })
  if not done and not tostring(err):find "is there already" then error(err, 0) end
end

local function grow_or_move(w, db)
  if math.random(3) == 1 then grow_or_shrink(w, db) else move_some(w, db) end
end

-- From now on a part of the answers of shards that take a statement at a time are lost, of what was done and what not.
local function lose_answers()
  local methods = core.shard_methods
  if methods.is_lossy then return end
  methods.is_lossy = true
  for _, name in ipairs { "run", "exec" } do
    local method = methods[name]
    methods[name] = function(handle, ...)
      if not core.is_single(handle) or math.random() > 0.25 then return method(handle, ...) end
      if math.random(2) == 1 then method(handle, ...) end
      errors.raise("OUTCOME_UNKNOWN", nil, "the answer was lost")
    end
  end
end

local function move_or_lose(w, db)
  lose_answers()
  move_some(w, db)
end

return {
  { name = "moves", step = move_some },
  { name = "integrations", step = integrate_or_not, old = true },
  { name = "moves of what is integrated", old = true, step = function(w, db)
    if math.random(4) == 1 then integrate_or_not(w, db) else move_some(w, db) end
  end },
  { name = "growing", step = grow_or_shrink },
  { name = "growing among moves", step = grow_or_move },
  { name = "moves, with a and b single", step = move_some, single = { a = true, b = true } },
  { name = "moves, with a and b single, and lost answers", step = move_or_lose, single = { a = true, b = true } },
  { name = "growing among moves, with b single", step = grow_or_move, single = { b = true } },
}
