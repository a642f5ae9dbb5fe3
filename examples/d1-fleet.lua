-- Three D1 databases that a Worker (examples/d1-fleet-worker.js) uses become one, a fourth is added, and customers are
-- moved until each has as many, while that Worker goes on reading and writing. Nothing is copied to take them over, and
-- the Worker's writes to a customer who is moving are refused by triggers, so that none is lost.
--
--   collegedb examples/d1-fleet.lua URL DB_NEW DB_EU DB_US DB_ASIA
--
-- URL is the gateway's (docs/cloudflare.md), its token is in COLLEGEDB_GATEWAY_TOKEN, the rest are bindings of D1
-- databases; a shard is named like its binding, by which the Worker finds where a customer has gone.

local collegedb = require "collegedb"

local url, new = arg[1], arg[2]
if not new or not arg[3] then
  io.stderr:write "usage: collegedb examples/d1-fleet.lua URL NEW_BINDING BINDING…\n"
  os.exit(2)
end

local gateway = collegedb.gateway { url = url }

-- The Worker inserts customers by itself, so a key that is not known yet is always looked for.
local function shard_of(binding) return { name = binding, gateway:shard(binding), external_writers = true } end

local shards = {}
for i = 3, #arg do shards[#shards + 1] = shard_of(arg[i]) end

local function print_counts(db, what)
  local total, counts = db:count "customers"
  local list = {}
  for name, count in pairs(counts) do list[#list + 1] = ("%s %d"):format(name, count) end
  table.sort(list)
  print(("%s: %d customers (%s)"):format(what, total, table.concat(list, ", ")))
end

-- 1. Their rows are found from here on; what is where is noted in the coordinator.
local db <close> = collegedb.open { kv = gateway:coordinator(), shards = shards, auto_migrate = false }
for _, shard in ipairs(shards) do
  local report = db:integrate(shard.name)
  print(("%s: %d rows, %d conflicts"):format(shard.name, report.total_records, #report.conflicts))
  -- Nothing is overwritten where two databases have one key: that is for a person to decide.
  if not report.success then os.exit(3) end
end
print_counts(db, "taken over")

-- 2. The new one gets the tables of the others.
local known = {}
for _, name in ipairs(db:list_known_shards()) do known[name] = true end
if not known[new] then db:add_shard(shard_of(new)) end

-- 3. Moving goes on where it was stopped when this is run again.
local report = db:rebalance {
  policy = "even",
  on_progress = function(done, total)
    if done % 50 == 0 then io.stderr:write(("moved %d of %d\n"):format(done, total)) end
  end,
}
print(("moved: %d of %d"):format(report.moved, report.planned))
print_counts(db, "balanced")

-- 4. Every key is looked at in every database.
local found = db:verify()
print(("verified: %d keys, %d findings"):format(found.keys, #found.findings))
os.exit(report.success and found.success, true)
