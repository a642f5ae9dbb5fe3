-- Faults that are put into CollegeDB on purpose, in the processes of a case: the test is worth what it finds of them.

local plants = {}

---The fence refuses what changes or deletes rows, and lets new ones through: a program that remembers where a key was
-- inserts it there again.
function plants.fence_lets_inserts_through()
  local fence = require "collegedb.fence"
  local triggers = fence.triggers
  function fence.triggers(...) -- luacheck: ignore 122
    local list = triggers(...)
    for _, each in ipairs(list) do
      if each.sql:find "%f[%u]INSERT ON" then each.sql = each.sql:gsub(" WHEN .- BEGIN ", " WHEN 0 BEGIN ", 1) end
    end
    return list
  end
end

---A statement that met nothing is believed, wherever its key may have gone.
function plants.nothing_is_believed()
  local moved = require "collegedb.moved"
  local run = moved.run
  function moved.run(...) -- luacheck: ignore 122
    if select(8, ...) == "nothing" then return false end
    return run(...)
  end
end

---A new key gets a place by the strategy, and the directory is not told of it.
function plants.claim_is_dropped()
  local allocate = require "collegedb.allocate"
  function allocate.give(state, _, key) -- luacheck: ignore 122
    return allocate.choose(state, key, function() return 0 end)
  end
end

---A move ends without its rows being deleted where they were.
function plants.source_is_not_cleared()
  local recovery = require "collegedb.recovery"
  function recovery.clean() return true end -- luacheck: ignore 122
end

return plants
