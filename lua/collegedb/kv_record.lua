--- The record of a directory in a table KV: one JSON value with the rows of the
-- tables that a SQLite directory has, and a copy of these tables in memory to read them from.
--
--   {"format":1,"counters":[["epoch","3"], …],"shards":[…],"placements":[…],"homes":[…],"schema":[…]}
--
-- Numbers are written as strings, digit by digit, because JSON libraries round them; equal rows give equal texts.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local format = require "collegedb.kv_format"

local record = {}

record.KEY = "collegedb:record"

local FORMAT = 1

local tables = {
  { name = "counters", "name", "value" },
  { name = "shards", "id", "name", "keyspace", "integrated", "conflicts", "schema" },
  { name = "placements", "number", "family" },
  { name = "homes", "placement", "shard", "weight", "keyspace" },
  { name = "schema", "id", "sql" },
}

local is_text = { name = true, keyspace = true, family = true, sql = true }

local OTHER = {} -- raised by load

local function to_text(value)
  if value == nil then return format.null end
  return math.type(value) == "float" and ("%.17g"):format(value) or tostring(value)
end

--- The text of the tables.
---@param tx userdata a shard or a transaction
---@return string
function record.text(tx)
  local parts = {}
  for i, each in ipairs(tables) do
    local rows = tx:all(("SELECT %s FROM _collegedb_%s ORDER BY 1, 2"):format(table.concat(each, ", "), each.name))
    for number, row in ipairs(rows) do
      local values = {}
      for k, column in ipairs(each) do values[k] = to_text(row[column]) end
      rows[number] = values
    end
    parts[i] = ("%q:%s"):format(each.name, format.array(rows))
  end
  return ("{\"format\":%d,%s}"):format(FORMAT, table.concat(parts, ","))
end

local function from_text(column, value)
  if value == format.null then return core.null end
  if type(value) ~= "string" then error "a value is no string" end
  if is_text[column] then return value end
  return tonumber(value) or error(("%s is no number"):format(value))
end

local function fill(tx, given)
  for _, each in ipairs(tables) do
    if type(given[each.name]) ~= "table" then error(each.name .. " is missing") end
    tx:run(("DELETE FROM _collegedb_%s"):format(each.name))
    local insert = ("INSERT INTO _collegedb_%s (%s) VALUES (%s)"):format(each.name, table.concat(each, ", "),
      ("?, "):rep(#each - 1) .. "?")
    for _, row in ipairs(given[each.name]) do
      local values = {}
      for k, column in ipairs(each) do values[k] = from_text(column, row[k]) end
      tx:run(insert, values)
    end
  end
end

-- The number that was given to the record when it was made.
local IDENTITY = "SELECT value FROM _collegedb_counters WHERE name = 'identity'"

--- Makes the tables of `shard` those of the text, unless it is another record than expected.
---@param shard userdata
---@param text string
---@param identity integer? which is expected
---@return boolean is_expected
function record.load(shard, text, identity)
  local given = format.decode(record.KEY, text)
  if type(given) == "table" and given.format ~= FORMAT then
    errors.raise("CONFIG", { field = "kv" }, "the directory in the table KV was written by another version of "
      .. "CollegeDB (its format is %s, this one's %d)", given.format, FORMAT)
  end
  local done, err = pcall(shard.transaction, shard, function(tx)
    fill(tx, given)
    local row = tx:first(IDENTITY)
    if identity and (row and row.value) ~= identity then error(OTHER, 0) end
  end)
  if done or err == OTHER then return done end
  if errors.is_error(err, "NOMEM") or (type(err) == "string" and err:find "interrupted!$") then error(err, 0) end
  local message = type(err) == "string" and err:gsub("^[^:]*:%d+: ", "") or tostring(err)
  errors.raise("CORRUPT", { kv_key = record.KEY, cause = err }, "the value of %q in the table KV is no record: %s",
    record.KEY, message)
end

return record
