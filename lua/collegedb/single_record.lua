--- The record of a directory without transactions over several statements: read in one statement into a mirror of its
-- tables in memory, and changed by one. What a change does is done to the mirror first; the rows that are others then
-- are sent, and are taken only if nobody has changed the record meanwhile.
--
-- Counters that change by themselves (turns, and the number of moves) are no part of it.

local core = require "collegedb.core"
local directory = require "collegedb.directory"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local tables = require "collegedb.single_tables"

local record = {}

---@class collegedb.SingleRecord
---@field mirror userdata the tables
---@field version integer? of the record in the mirror
---@field number integer the epoch
---@field identity integer? given to the record when it was made
local Record = {}
Record.__index = Record

local LETTERS <const> = { "a", "b", "c", "d", "e", "f", "g", "h", "i" }

local READ_VERSION <const> = [[SELECT name, value FROM _collegedb_counters WHERE name IN ('version', 'identity')]]

local SEQUENCE <const> = "(SELECT seq FROM sqlite_sequence WHERE name = '_collegedb_%s')"

-- All tables in one statement: the number of the table, and its columns as a, b, …; with the counters comes up to which
-- numbers SQLite has given out.
local function read_sql()
  local parts = {}
  for i, name in ipairs(tables.names) do
    local terms = { ("%d AS t"):format(i) }
    for k, letter in ipairs(LETTERS) do
      terms[k + 1] = (tables.columns[name][k] or "NULL") .. " AS " .. letter
    end
    if name == "counters" then
      terms[4], terms[5] = SEQUENCE:format "shards" .. " AS c", SEQUENCE:format "schema" .. " AS d"
    end
    parts[i] = "SELECT " .. table.concat(terms, ", ") .. " FROM _collegedb_" .. name
      .. (name == "counters" and " WHERE substr(name, 1, 5) <> 'turn:' AND name <> 'move'" or "")
  end
  return table.concat(parts, " UNION ALL ")
end

local READ <const> = read_sql()

---@param store collegedb.SingleStore
---@return collegedb.SingleRecord
function record.new(store)
  local mirror = core.sqlite(":memory:", { name = "the directory" })
  directory.make_tables(mirror)
  return setmetatable({ store = store, mirror = mirror, number = 0, held = 0 }, Record)
end

-- --- reading -----------------------------------------------------------------------------

-- One that is none, or without end, would be taken apart for ever.
local function check_weight(name, weight)
  if type(weight) == "number" and weight > 0 and weight < math.huge then return end
  errors.raise("CORRUPT", nil, "the directory %s has a shard with the weight %s", name, tostring(weight))
end

local function fill(tx, rows, of)
  local insert, sequences = {}, {}
  for i, name in ipairs(tables.names) do
    local columns = tables.columns[name]
    tx:run(("DELETE FROM _collegedb_%s"):format(name))
    insert[i] = ("INSERT INTO _collegedb_%s (%s) VALUES (%s)"):format(name, table.concat(columns, ", "),
      ("?, "):rep(#columns - 1) .. "?")
  end
  for _, row in ipairs(rows) do
    local name, values = tables.names[row.t], {}
    for k in ipairs(tables.columns[name]) do
      local value = row[LETTERS[k]]
      values[k] = value == nil and core.null or value
    end
    if name == "homes" then check_weight(of, row.c) end
    tx:run(insert[row.t], values)
    if row.t == 1 then sequences.shards, sequences.schema = row.c, row.d end
  end
  tx:run "DELETE FROM sqlite_sequence"
  for name, seq in pairs(sequences) do
    tx:run("INSERT INTO sqlite_sequence VALUES (?, ?)", { "_collegedb_" .. name, seq })
  end
end

-- The rows of the tables as JSON, by their primary keys.
local function image_of(tx)
  local image = {}
  for _, name in ipairs(tables.names) do
    local columns, rows = tables.columns[name], {}
    for row in tx:each(("SELECT %s FROM _collegedb_%s"):format(table.concat(columns, ", "), name)) do
      local values = {}
      for k, column in ipairs(columns) do values[k] = row[column] == nil and json.null or row[column] end
      if row.weight then values[3] = tables.weight(row.weight) end
      rows[json.encode { table.unpack(values, 1, tables.keys[name] or 1) }] = values
    end
    image[name] = rows
  end
  return image
end

local function counter(tx, name)
  local row = tx:first("SELECT value FROM _collegedb_counters WHERE name = ?", { name })
  return row and row.value
end

local function is_lost(err) return errors.is_error(err, "SQL") and err.message:find "no such table" end

local function raise_lost(name)
  errors.raise("UNAVAILABLE", nil, "the directory %s was deleted or replaced; open the database again", name)
end

local function ask(self, sql)
  local done, rows = pcall(self.store.all, self.store, sql)
  if done then return rows end
  if self.identity and is_lost(rows) then raise_lost(self.store.name) end
  error(rows, 0)
end

local function load_all(self)
  local rows = ask(self, READ)
  self.mirror:transaction(function(tx)
    fill(tx, rows, self.store.name)
    self.image = image_of(tx)
  end)
  local identity = counter(self.mirror, "identity")
  if self.identity and identity ~= self.identity then raise_lost(self.store.name) end
  self.version, self.identity = counter(self.mirror, "version"), identity
  self.number = counter(self.mirror, "epoch")
end

--- Brings the mirror up to date.
function Record:refresh()
  if self.held > 0 and self.seen then return end
  local now = {}
  if self.version then
    for _, row in ipairs(ask(self, READ_VERSION)) do now[row.name] = row.value end
  end
  if not self.version or now.version ~= self.version or now.identity ~= self.identity then load_all(self) end
  self.seen = true
end

--- Runs `f(…)`, which sees the record as it was at its first look.
function Record:hold(f, ...)
  if self.held == 0 then self.seen = false end
  self.held = self.held + 1
  local results = table.pack(pcall(f, ...))
  self.held = self.held - 1
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- --- changing -----------------------------------------------------------------------------

-- What has changed between two images, as the procedure takes it; whether anything has.
local function difference(before, now, what)
  local any = false
  for _, name in ipairs(tables.names) do
    local gone, come = {}, {}
    for key, values in pairs(before[name]) do
      local other = now[name][key]
      if not other or json.encode(other) ~= json.encode(values) then
        gone[#gone + 1] = { table.unpack(values, 1, tables.keys[name] or 1) }
      end
    end
    for key, values in pairs(now[name]) do
      local other = before[name][key]
      if not other or json.encode(other) ~= json.encode(values) then come[#come + 1] = values end
    end
    if #gone > 0 or #come > 0 then
      what[name], any = { gone = gone, rows = come }, true
    end
  end
  return any
end

local NOT_DONE <const> = {} -- raised inside the mirror's transaction

--- One attempt at a change: f(tx), after(tx), and the next epoch if f returned true. `send(what)` says whether it was
-- made, and else the procedure's word.
---@param f fun(tx: userdata): boolean
---@param after fun(tx: userdata)?
---@param send fun(what: table, any: boolean): boolean, string?
---@return boolean done, any # what f returned, or the word
function Record:try(f, after, send)
  local changed, word, image
  local done, err = pcall(self.mirror.transaction, self.mirror, function(tx)
    changed = f(tx)
    if after then after(tx) end
    if changed then tx:run "UPDATE _collegedb_counters SET value = value + 1 WHERE name = 'epoch'" end
    image = image_of(tx)
    local what = {}
    local sent, why = send(what, difference(self.image, image, what))
    word = why
    if not sent then error(NOT_DONE, 0) end
    -- The procedure counts the versions.
    if sent ~= "nothing" then tx:run "UPDATE _collegedb_counters SET value = value + 1 WHERE name = 'version'" end
  end)
  if err == NOT_DONE then return false, word end
  if not done then
    self.version = nil -- it may have been made
    error(err, 0)
  end
  self.version, self.number = counter(self.mirror, "version"), counter(self.mirror, "epoch")
  self.image = image
  image.counters[json.encode { "version" }] = { "version", self.version }
  return true, changed
end

function Record:close() core.close(self.mirror) end

return record
