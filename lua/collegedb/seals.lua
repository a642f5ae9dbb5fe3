--- A shard that is closed for good refuses every new row, by a trigger on each of its tables. Where there are no
-- transactions over several statements the triggers are there before, and a row in a table has them refuse.

local fence = require "collegedb.fence"
local inspect = require "collegedb.inspect"
local procedures = require "collegedb.procedures"
local quote = require "collegedb.quote"
local single_fence = require "collegedb.single_fence"

local seals = {}

local PREFIX <const> = "_collegedb_sealed_"

local NAMES <const> = ([[SELECT name FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, %d) = '%s']]):format(
  #PREFIX, PREFIX)

local function trigger_sql(name, condition)
  return ("CREATE TRIGGER IF NOT EXISTS %s BEFORE INSERT ON %s %s BEGIN SELECT RAISE(ABORT, 'collegedb:moved'); END;\n")
    :format(quote.name(PREFIX .. name), quote.name(name), condition and "WHEN " .. condition or "")
end

--- Does the shard refuse new rows for good?
---@param shard table
---@param tx userdata? a transaction on it
function seals.is_sealed(shard, tx)
  local reader = tx or shard.inner
  if not shard.single then return reader:first(NAMES) ~= nil end
  return fence.reading(reader.first, reader, "SELECT 1 AS yes FROM _collegedb_seal") ~= nil
end

local LOOK <const> = [[SELECT EXISTS (SELECT 1 FROM _collegedb_seal) AS sealed, o.state, o.move, o.floor, o.peer,
    o.before FROM (SELECT 1) LEFT JOIN _collegedb_own AS o ON o.keyspace = ?1 AND o.key = ?2]]

--- Whether a shard is closed, and what it says of a key.
---@return boolean sealed
---@return table? own as of fence.own_row
function seals.look(shard, keyspace, text)
  if not shard.single then return seals.is_sealed(shard), fence.own_row(shard.inner, keyspace, text) end
  local row = fence.reading(shard.inner.first, shard.inner, LOOK, { keyspace, text })
  return row ~= nil and row.sealed == 1, row and row.state and row or nil
end

--- Lets rows in again, in every table.
function seals.open(shard)
  if shard.single then
    fence.reading(procedures.sure, shard, "run", "DELETE FROM _collegedb_seal")
    return
  end
  fence.step(shard, function(tx)
    for _, row in ipairs(tx:all(NAMES)) do tx:exec("DROP TRIGGER " .. quote.name(row.name)) end
  end)
end

local function tables_of(state, index)
  local names = {}
  for _, each in pairs(state.catalog.tables) do
    if each.shards[index] then names[#names + 1] = each.name end
  end
  table.sort(names)
  return names
end

local function close_in(tx, state, index)
  if fence.is_open(tx) then return false end
  if inspect.version(tx) ~= state.catalog.versions[index] then return false end -- others made tables
  local names = tables_of(state, index)
  for _, name in ipairs(names) do
    if tx:first(("SELECT 1 AS yes FROM %s LIMIT 1"):format(quote.name(name))) then return false end
  end
  for _, name in ipairs(names) do tx:exec(trigger_sql(name)) end
  return true
end

local function close_single(state, index)
  local shard, script, conditions = state.shards[index], {}, {}
  local schema = single_fence.schema(state, index)
  for i, name in ipairs(tables_of(state, index)) do
    script[i] = trigger_sql(name, "EXISTS (SELECT 1 FROM _collegedb_seal)")
    conditions[i] = ("NOT EXISTS (SELECT 1 FROM %s)"):format(quote.name(name))
  end
  procedures.make(shard)
  procedures.sure(shard, "exec", table.concat(script))
  table.insert(conditions, "NOT EXISTS (SELECT 1 FROM _collegedb_open)")
  table.insert(conditions, procedures.SCHEMA .. " = ?1")
  table.insert(conditions, ("(SELECT count(*) FROM (%s)) >= ?2"):format(NAMES))
  procedures.sure(shard, "run", ("INSERT INTO _collegedb_seal SELECT 1 WHERE %s ON CONFLICT DO NOTHING"):format(
    quote.joined(conditions, "AND")), { schema, #script })
  return seals.is_sealed(shard)
end

--- Closes a shard, unless it has rows or a move is under way there.
---@param state table of lua/collegedb/state.lua
---@return boolean closed
function seals.close(state, index)
  local shard = state.shards[index]
  if shard.single then return close_single(state, index) end
  return fence.step(shard, function(tx) return close_in(tx, state, index) end)
end

return seals
