--- Takes an integration back: the entries it wrote are removed, and the shard
-- is probed again, so that every row is still found. Rows stay where they are.

local journal = require "collegedb.journal"

local rollback = { name = "rollback", api = 1 }

--- Rolls the integration of shard `index` back.
---@return table report { success, shard_name, entries_removed }
function rollback.run(state, index)
  local shard = state.shards[index]
  -- Entries that were claimed for new keys stay.
  local removed = state.directory:discard(shard.id)
  local job = journal.claim(state.directory, "integrate", shard.id)
  if job then
    job:forget() -- what it had noted is void
    job:release()
  end
  state:read_epoch()
  return { success = true, shard_name = shard.name, entries_removed = removed }
end

return rollback
