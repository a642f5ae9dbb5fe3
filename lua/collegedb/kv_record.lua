--- The record of a directory in a table KV: one JSON value with the rows of the
-- tables that a SQLite directory has, and a mirror of these tables in memory to read them from.
--
--   {"format":1,"counters":[["epoch","3"], …],"shards":[…],"placements":[…],"homes":[…],"schema":[…]}
--
-- Numbers are written as strings, digit by digit, because JSON libraries round them; equal rows give equal texts.

local core = require "collegedb.core"
local directory = require "collegedb.directory"
local errors = require "collegedb.errors"
local format = require "collegedb.kv_format"

local record = {}

record.KEY = "collegedb:record"

local ATTEMPTS = 200

---@class collegedb.KVRecord
---@field mirror userdata the tables
---@field number integer the epoch
---@field ids table<string, integer> of shards by name
---@field shard_names table<integer, string> by id
---@field voids table<string, integer> by shard: the epoch before which entries found in its data are none
---@field ended table<string, integer> by shard id and name: the epoch before which one entry is none
---@field void_all integer the epoch before which all entries of ours are none
---@field identity integer? given to the record when it was made
local Record = {}
Record.__index = Record

local FORMAT = 1

local tables = {
  { name = "counters", "name", "value" },
  { name = "shards", "id", "name", "keyspace", "integrated", "conflicts", "schema", "generation" },
  { name = "placements", "number", "family" },
  { name = "homes", "placement", "shard", "weight", "keyspace" },
  { name = "schema", "id", "sql" },
}

local is_text = { name = true, keyspace = true, family = true, sql = true }

local OTHER, LOST = {}, {} -- raised inside a transaction: it is another record; another process was quicker

local function to_text(value)
  if value == nil then return format.null end
  return math.type(value) == "float" and ("%.17g"):format(value) or tostring(value)
end

-- --- text and tables ------------------------------------------------------------------

-- The text of the tables.
local function text_of(tx)
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

-- Makes the tables those of the text; false and nothing done if it is another record than the one of before.
local function load_text(self, text)
  local given = format.decode(record.KEY, text)
  if type(given) == "table" and given.format ~= FORMAT then
    errors.raise("CONFIG", { field = "kv" }, "the directory in the table KV was written by another version of "
      .. "CollegeDB (its format is %s, this one's %d)", given.format, FORMAT)
  end
  local done, err = pcall(self.mirror.transaction, self.mirror, function(tx)
    fill(tx, given)
    local row = tx:first "SELECT value FROM _collegedb_counters WHERE name = 'identity'"
    if self.identity and (row and row.value) ~= self.identity then error(OTHER, 0) end
  end)
  if done or err == OTHER then return done end
  if errors.is_error(err, "NOMEM") or errors.is_interrupt(err) then error(err, 0) end
  local message = type(err) == "string" and err:gsub("^[^:]*:%d+: ", "") or tostring(err)
  errors.raise("CORRUPT", { kv_key = record.KEY, cause = err }, "the value of %q in the table KV is no record: %s",
    record.KEY, message)
end

-- --- reading and changing ---------------------------------------------------------------

---@param store collegedb.KVStore
---@return collegedb.KVRecord
function record.new(store)
  local self = { store = store, mirror = core.sqlite(":memory:", { name = "the directory" }), number = 1, ids = {},
    shard_names = {}, voids = {}, ended = {}, void_all = 0 }
  directory.make_tables(self.mirror)
  return setmetatable(self, Record)
end

local function remember(self, text)
  self.text, self.ids, self.shard_names, self.voids, self.ended, self.void_all = text, {}, {}, {}, {}, 0
  for row in self.mirror:each "SELECT id, name FROM _collegedb_shards" do
    self.ids[row.name], self.shard_names[row.id] = row.id, row.name
  end
  for row in self.mirror:each "SELECT name, value FROM _collegedb_counters" do
    local void, ended = row.name:match "^void:(.*)$", row.name:match "^ended:(.*)$"
    if void then self.voids[void] = row.value end
    if ended then self.ended[ended] = row.value end
    if row.name == "void" then self.void_all = row.value end
    if row.name == "epoch" then self.number = row.value end
    if row.name == "identity" then self.identity = row.value end
  end
end

--- Reads the record anew if it was written. Raises UNAVAILABLE if it is gone or another one.
---@return boolean changed
function Record:refresh()
  local text = self.store:get(record.KEY)
  if text == self.text then return false end
  if not text or not load_text(self, text) then
    errors.raise("UNAVAILABLE", { kv_key = record.KEY },
      "the directory in the table KV was deleted or replaced; open the database again")
  end
  remember(self, text)
  return true
end

-- One attempt at a change. What the mirror has and the KV does not is rolled back.
local function try(self, f)
  local text, changed
  local done, err = pcall(self.mirror.transaction, self.mirror, function(tx)
    changed = f(tx)
    if changed then tx:run "UPDATE _collegedb_counters SET value = value + 1 WHERE name = 'epoch'" end
    text = text_of(tx)
    if text ~= self.text and not self.store:cas(record.KEY, self.text, text) then error(LOST, 0) end
    self.text = nil -- until the mirror has it too
  end)
  if done then remember(self, text) end
  if not done and err ~= LOST then error(err, 0) end
  return done, changed
end

local function has_new_names(before, now)
  for name in pairs(now) do
    if not before[name] then return true end
  end
  return false
end

--- Changes the tables by `f(tx)`, which runs again whenever another process was quicker, and makes the next epoch
-- if it returns true.
---@param f fun(tx: userdata): boolean
---@return boolean changed, boolean new_names there are shards that were not there before
function Record:change(f)
  for attempt = 1, ATTEMPTS do
    self:refresh()
    local before = self.ids
    local done, changed = try(self, f)
    if done then return changed, has_new_names(before, self.ids) end
    self.store:pause(attempt)
  end
  errors.raise("BUSY", nil, "the record in the table KV changes faster than it can be written")
end

function Record:close() core.close(self.mirror) end

return record
