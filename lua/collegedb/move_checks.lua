--- What a move looks at before it goes on, and what it raises; the same for every kind of shard.

local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local moves = require "collegedb.moves"
local quote = require "collegedb.quote"

local checks = {}

-- --- what it raises --------------------------------------------------------------------

---@param number integer? the move that is in its way
function checks.fail_conflict(job, shard, key, what, number)
  errors.raise("CONFLICT", { key = key, shard = shard.name, move = number }, "the key %s can not go from %s to %s: %s",
    key, job.source.name, job.target.name, what)
end

-- What becomes of a move that is in the way.
local function outlook(job, number)
  if number > job.number then return "which came later" end
  local live, remains = moves.is_live(job.state.directory, number)
  if not live then return "which was left half way: doctor with repair ends it" end
  return ("which is not over: its program works, or has died, and then it can be ended in %d s"):format(remains
    or moves.lease)
end

--- A key could not be taken.
---@param own { state: string, move: integer }? its own row there
function checks.fail_held(job, shard, key, own)
  if not own then checks.fail_conflict(job, shard, key, "it is held") end
  if own.state == "tomb" or own.state == "active" then -- that move is over
    checks.fail_conflict(job, shard, key, ("it %s %s meanwhile, by move %d"):format(own.state == "tomb" and "went from"
      or "came to", shard.name, own.move), own.move)
  end
  checks.fail_conflict(job, shard, key, ("%s has it as %s by move %d, %s"):format(shard.name, own.state, own.move,
    outlook(job, own.move)), own.move)
end

function checks.fail_sealed(shard)
  errors.raise("UNSUPPORTED", { shard = shard.name }, "shard %s was drained, and takes no rows", shard.name)
end

function checks.fail_schema(shard)
  errors.raise("CONFLICT", { shard = shard.name }, "the schema of %s changed meanwhile", shard.name)
end

--- The rows were moved, and can not be deleted where they were.
function checks.fail_held_back(job)
  errors.raise("CONSTRAINT", { key = job.keys[1], shard = job.source.name }, "the key %s is on %s now, and its old "
    .. "rows stay on %s as long as other rows there refer to them: delete those, and run verify with repair",
    job.keys[1], job.target.name, job.source.name)
end

function checks.raise_taken_back(job)
  errors.raise("MOVED", { shard = job.source.name }, "move %d was taken back by a recovery meanwhile", job.number)
end

-- --- schemas ---------------------------------------------------------------------------

local function same_set(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

--- The same tables on both shards, in what the move relies on: the target's parts in the order of the source's.
---@return collegedb.Part[]
function checks.match_target(job)
  local there, matched = {}, {}
  for _, part in ipairs(job.target_parts) do there[quote.fold(part.name)] = part end
  for i, part in ipairs(job.parts) do
    local other = there[quote.fold(part.name)]
    if not other then
      errors.raise("TABLE_NOT_FOUND", { table = part.name, shard = job.target.name },
        "shard %s has no table %s of this key's group; db:create_schema gives it the other shards' tables",
        job.target.name, part.name)
    end
    if not same_set(part.columns, other.columns) then
      errors.raise("UNSUPPORTED", { table = part.name, shard = job.target.name },
        "table %s has other columns on %s than on %s", part.name, job.target.name, job.source.name)
    end
    matched[i] = other
  end
  return matched
end

--- No trigger of the user's would run for rows that are moved.
function checks.check_triggers(shard, parts)
  for _, part in ipairs(parts) do
    local row = shard.inner:first([[SELECT name FROM sqlite_schema WHERE type = 'trigger'
      AND tbl_name = ? COLLATE NOCASE AND substr(name, 1, 11) <> '_collegedb_']], { part.name })
    if row then
      errors.raise("UNSUPPORTED", { table = part.name, shard = shard.name },
        "rows of %s can not be moved: its trigger %s on shard %s would run for them", part.name, row.name, shard.name)
    end
  end
end

--- No fence stands before a table that was made since the source was fenced; it may have rows of the keys.
function checks.check_tables(job)
  job.state:refresh_catalog()
  local known = {}
  for _, part in ipairs(job.parts) do known[part.name] = true end
  for _, part in ipairs(group.parts(job.state.catalog, job.source_index, job.keyspace)) do
    if not known[part.name] then
      errors.raise("CONFLICT", { shard = job.source.name, table = part.name }, "the table %s was made on %s meanwhile",
        part.name, job.source.name)
    end
  end
end

-- --- rows ------------------------------------------------------------------------------

--- Conditions, as SQL, that are true when a part has rows of the keys of the move ?1.
---@return string[]
function checks.present(job)
  local list = {}
  for i, part in ipairs(job.target_parts) do
    list[i] = ("EXISTS (SELECT 1 FROM %s WHERE %s)"):format(quote.name(part.name),
      group.rows_sql(part, fence.keys_sql(job.keyspace, "?1")))
  end
  return list
end

--- No key of the move has a row of its group at the target already.
---@param reader userdata of the target
function checks.check_absent(job, reader)
  local keys = fence.keys_sql(job.keyspace, "?1")
  for _, part in ipairs(job.target_parts) do
    local row = reader:first(("SELECT %s AS key FROM %s AS t WHERE %s LIMIT 1"):format(group.key_sql(part, "t"),
      quote.name(part.name), group.rows_sql(part, keys)), { job.number })
    if row then
      checks.fail_conflict(job, job.target, row.key, ("%s has rows of it in %s"):format(job.target.name, part.name))
    end
  end
end

--- What has no rows, and never had, does not go anywhere: it may have a place elsewhere by now.
---@param reader userdata of the source
function checks.check_rows(job, reader)
  local row = reader:first(("SELECT key FROM _collegedb_own AS o WHERE move = ? AND keyspace = ? AND floor = 0 "
    .. "AND NOT (%s) LIMIT 1"):format(group.any_sql(job.parts, "SELECT o.key AS key")), { job.number, job.keyspace })
  if row then
    errors.raise("MAPPING_NOT_FOUND", { key = row.key, shard = job.source.name }, "the key %s has no rows on %s any "
      .. "more: there is nothing to move", row.key, job.source.name)
  end
end

return checks
