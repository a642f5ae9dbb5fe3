--- Statements that took longer than the config's slow_query, told to on_event. C notes them while it runs a statement,
-- where nobody can be called, and the next call tells of them.

local core = require "collegedb.core"

local slow_queries = {}

local function tell_all(state, db)
  local list, more = core.slow_queries(db)
  for _, each in ipairs(list) do
    state:emit("slow", ("%.3f s on %s: %s"):format(each.seconds, each.shard, each.sql), each)
  end
  if more > 0 then state:emit("slow", ("%d more statements were slow"):format(more), { more = more }) end
end

--- Tells of those that were not told of yet. Their parameters are not told: they are the user's data.
---@param state table of lua/collegedb/state.lua
function slow_queries.tell(state)
  local db = state.weak.db
  if not db or not state.config.slow_query then return end
  if state.telling then -- an observer runs statements, also slow ones: the next call tells of them
    state.telling = "again"
    return
  end
  state.telling = "once"
  local done, err = pcall(tell_all, state, db)
  local again = state.telling == "again" or not done -- interrupted: the next call looks also at what else is new
  state.telling = nil
  if again and core.is_open(db) then core.attention(db) end
  if not done then error(err, 0) end
end

return slow_queries
