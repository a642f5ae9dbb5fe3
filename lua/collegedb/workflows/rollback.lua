--- Takes an integration back: the entries it wrote are removed, and the shard
-- is probed again, so that every row is still found. Rows stay where they are.

local journal = require "collegedb.journal"

local rollback = { name = "rollback", api = 1 }

--- Rolls the integration of shard `index` back.
---@return table report { success, shard_name, entries_removed }
function rollback.run(state, index)
  local shard = state.shards[index]
  local removed = 0
  state.directory:change(function(tx)
    -- Version 0 was found in the database; higher ones were claimed for new keys and stay.
    removed = tx:run("DELETE FROM _collegedb_entries WHERE shard = ? AND version = 0", { shard.id }).meta.changes
    tx:run("UPDATE _collegedb_shards SET integrated = 0, conflicts = 0 WHERE id = ?", { shard.id })
    return true
  end)
  local job = journal.claim(state.directory, "integrate", shard.id)
  if job then
    job:forget() -- what it had noted is void
    job:release()
  end
  state:read_epoch()
  return { success = true, shard_name = shard.name, entries_removed = removed }
end

return rollback
