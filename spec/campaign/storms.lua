-- What goes on in a storm: { name, prepare = as of scenarios.lua, step = function(world, db) }. Each step is one
-- operation of many that are begun until the process is killed.

local core = require "collegedb.core"
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

return {
  { name = "moves", step = function(w, db)
    if math.random(2) == 1 then move_one(w, db) else move_many(w, db) end
  end },
}
