-- What is killed, and made to fail. Each is
--
--     { name, prepare = function(world, db), dies = true, opens = true, journal_mode = …, synchronous = …, old = …,
--       run = function(world, db, on_step) → db }
--
-- prepare makes the files that each attempt begins with, and `dies` when it ends its process. `run` is what is tried;
-- it calls on_step where others get a word in. With `opens` it opens the database itself.

local core = require "collegedb.core"
local forks = require "forks"
local move = require "collegedb.workflows.move"
local world = require "spec.campaign.world"

local function moving(db, keys, from, to, on_step)
  local state = core.state(db)
  state:read_epoch()
  return move.run(state, { keyspace = "", keys = keys, source = state.by_name[from], target = state.by_name[to],
    on_step = on_step })
end

local function die_after(step)
  return function(w, db)
    moving(db, w:keys_of "a", "a", "b", function(name)
      if name == step then forks.exit(99) end
    end)
  end
end

-- The last keys of a shard: the first is the one that moves.
local function move_first(w, db, on_step) moving(db, { w:keys_of("a")[1] }, "a", "b", on_step) end

local function open_later(w)
  world.later()
  return w:open()
end

local function integrate(_, db, on_step)
  db:integrate("old", { resume = true, page = 4, batch = 3, on_progress = function() on_step() end })
end

local function find_all(w, db)
  for _, key in ipairs(w.keys) do
    if not db:first(key, "SELECT n FROM users WHERE id = ?", { key }) then error(key .. " is not found", 0) end
  end
end

local function add(w, db) return db:add_shard { name = "more", w:database "more" } end

local function add_if_missing(w, db)
  for _, name in ipairs(db:list_known_shards()) do
    if name == "more" then return end
  end
  add(w, db)
end

local function expect_done(report)
  if report.success then return end
  local first = report.failed[1]
  error(("%d of %d failed: %s"):format(report.failed_count, report.planned, first and first.message or "-"), 0)
end

local list = {
  { name = "move", run = move_first },
  { name = "move in rollback journals", run = move_first, journal_mode = "delete" },
  { name = "move with synchronous = normal", run = move_first, synchronous = "normal" },
  { name = "move of many keys", run = function(w, db, on_step) moving(db, w:keys_of "a", "a", "b", on_step) end },
  { name = "move back",
    prepare = function(w, db) moving(db, w:keys_of "a", "a", "b") end,
    run = function(w, db, on_step) moving(db, w:keys_of "a", "b", "a", on_step) end },
  { name = "recovery before the commit", prepare = die_after "copy", dies = true, opens = true, run = open_later },
  { name = "recovery after the commit", prepare = die_after "commit", dies = true, opens = true, run = open_later },
  { name = "recovery at the end", prepare = die_after "publish", dies = true, opens = true, run = open_later },
  { name = "a write meets a committed move", prepare = die_after "commit", dies = true,
    run = function(w, db)
      local key = w:keys_of("a")[1]
      db:first(key, "SELECT n FROM users WHERE id = ?", { key })
      db:run(key, "UPDATE users SET n = n WHERE id = ?", { key })
    end },
  { name = "integration", old = true, run = integrate, after = find_all },
  { name = "rollback of an integration", old = true, after = find_all,
    prepare = function(w, db) integrate(w, db, function() end) end,
    run = function(_, db) db:rollback "old" end },
  { name = "adding a shard", run = add, after = function(w, db)
    add_if_missing(w, db)
    find_all(w, db)
  end },
  { name = "rebalance", prepare = add,
    run = function(_, db, on_step) db:rebalance { rate = 1000, on_progress = function() on_step() end } end,
    after = function(w, db)
      expect_done(db:rebalance())
      find_all(w, db)
    end },
  { name = "drain",
    run = function(_, db, on_step) db:drain("b", { on_progress = function() on_step() end }) end,
    after = function(w, db)
      expect_done(db:drain "b")
      find_all(w, db)
    end },
}

-- The same where shards take a statement at a time: the source a, the target b, or both; or the directory does.
local function add_single(name, ...)
  for _, scenario in ipairs(list) do
    if scenario.name == name then
      local copy, single = {}, {}
      for field, value in pairs(scenario) do copy[field] = value end
      for _, shard in ipairs { ... } do single[shard] = true end
      copy.name, copy.single = ("%s, with %s single"):format(name, table.concat({ ... }, " and ")), single
      list[#list + 1] = copy
      return
    end
  end
end

add_single("move", "b")
add_single("move", "a")
add_single("move", "a", "b")
add_single("move back", "a", "b")
add_single("move of many keys", "a", "b")
add_single("move of many keys", "a")
add_single("recovery before the commit", "a", "b")
add_single("recovery before the commit", "b")
add_single("recovery after the commit", "a", "b")
add_single("recovery after the commit", "a")
add_single("a write meets a committed move", "a", "b")
add_single("rebalance", "a", "b")
add_single("drain", "a", "b")
add_single("drain", "b")
for _, name in ipairs { "move", "move of many keys", "recovery before the commit", "recovery after the commit",
  "integration", "rollback of an integration", "adding a shard", "rebalance", "drain" } do
  add_single(name, "directory")
end
add_single("rebalance", "directory", "a", "b")

return list
