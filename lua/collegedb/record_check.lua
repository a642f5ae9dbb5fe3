--- Is what stands in the record of a directory what CollegeDB writes there? A damaged file, or one that others wrote,
-- may have anything: a weight that is a text, a shard without a name. What reads the record relies on none of that.
-- The tables are short; entries are judged where they are read.

local errors = require "collegedb.errors"
local json_reader = require "collegedb.json_reader"

local record_check = {}

local INTEGER <const>, COUNT <const> = "typeof(%s) = 'integer'", "typeof(%s) = 'integer' AND %s >= 0"
local TEXT <const>, MAY_BE_TEXT <const> = "typeof(%s) = 'text'", "typeof(%s) IN ('text', 'null')"
-- One more than the largest integer would be a float. What makes keys secret may be any integer.
local COUNTER <const> = "typeof(%s) = 'integer' AND (name NOT IN ('epoch', 'move') OR %s BETWEEN 0 AND 1 << 60)"
local WEIGHT <const> = "typeof(%s) = 'real' AND %s > 0 AND %s < 1e300"

local COLUMNS <const> = {
  _collegedb_counters = { name = TEXT, value = COUNTER },
  _collegedb_shards = { id = COUNT, name = TEXT, keyspace = MAY_BE_TEXT, integrated = INTEGER, conflicts = COUNT,
    schema = COUNT, generation = COUNT, drained = COUNT, settings = MAY_BE_TEXT },
  _collegedb_placements = { number = COUNT, family = TEXT },
  _collegedb_homes = { placement = COUNT, shard = COUNT, weight = WEIGHT, keyspace = MAY_BE_TEXT },
  _collegedb_moves = { number = COUNT, keyspace = TEXT, source = COUNT, target = COUNT, epoch = COUNT, lease = INTEGER,
    lock = MAY_BE_TEXT },
  _collegedb_schema = { id = COUNT, sql = TEXT },
  _collegedb_takes = { job = COUNT, item = COUNT, ended = INTEGER, records = COUNT, created = COUNT, at_home = COUNT,
    known = COUNT, conflicts = COUNT, unusable = COUNT, resolved = COUNT },
  _collegedb_jobs = { id = COUNT, workflow = TEXT, subject = INTEGER, signature = TEXT, step = TEXT, state = TEXT },
}

-- One statement for all: the tables in which a row is wrong.
local function statement()
  local parts = {}
  for name, columns in pairs(COLUMNS) do
    local conditions = {}
    for column, test in pairs(columns) do conditions[#conditions + 1] = "(" .. test:gsub("%%s", column) .. ")" end
    parts[#parts + 1] = ("SELECT '%s' AS name WHERE EXISTS (SELECT 1 FROM %s WHERE NOT (%s))"):format(name, name,
      table.concat(conditions, " AND "))
  end
  parts[#parts + 1] = "SELECT '_collegedb_counters' WHERE NOT EXISTS (SELECT 1 FROM _collegedb_counters WHERE "
    .. "name = 'epoch')"
  return table.concat(parts, " UNION ALL ") .. " LIMIT 1"
end

local WRONG <const> = statement()

--- Raises CORRUPT for a directory with something in a table that it can not have.
---@param dir table the directory
---@param table_name string
function record_check.damaged(dir, table_name)
  errors.raise("CORRUPT", nil, "the directory %s is damaged: its table %s has what CollegeDB never writes; put the "
    .. "file back from a backup (docs/backup.md)", dir.path, table_name)
end

--- Raises CORRUPT when the record is not as it is written.
---@param dir table the directory, whose tables are of this version
function record_check.run(dir)
  local wrong = dir.shard:first(WRONG)
  if wrong then record_check.damaged(dir, wrong.name) end
end

--- The number of the next move, above an entry's. Raises CORRUPT where that was none: all later ones would be above it.
---@param dir table the directory
---@param number any
---@return integer
function record_check.move_number(dir, number)
  if math.type(number) ~= "integer" or number >= 1 << 60 then record_check.damaged(dir, "_collegedb_entries") end
  return number
end

--- What a column with JSON in it holds: a table. Raises CORRUPT for anything else.
---@param dir table the directory
---@param table_name string
---@param text string
---@return table
function record_check.decoded(dir, table_name, text)
  local read, value = pcall(json_reader.decode, text)
  if not read or type(value) ~= "table" then record_check.damaged(dir, table_name) end
  return value
end

return record_check
