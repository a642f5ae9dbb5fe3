--- The fence: what stops a write that reached a shard which its key has left, or has not reached yet.
--
-- A table `_collegedb_own` of the shard says of keys what is not plain: being sent, sent, gone (tomb), being received.
-- While it has rows the tables of their groups carry triggers that refuse a write to such a key, from any client.
-- Staged rows wait in tables of their own until one UPDATE of the own row moves them in; another one clears the source.

local errors = require "collegedb.errors"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"
local quote = require "collegedb.quote"

local fence = {}

local OWN = [[CREATE TABLE IF NOT EXISTS _collegedb_own (
  keyspace TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, move INTEGER NOT NULL, floor INTEGER NOT NULL,
  peer TEXT, before TEXT, at INTEGER NOT NULL, PRIMARY KEY (keyspace, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS _collegedb_own_move ON _collegedb_own (move);
CREATE INDEX IF NOT EXISTS _collegedb_own_open ON _collegedb_own (state)
  WHERE state IN ('sending', 'sent', 'receiving');
CREATE TABLE IF NOT EXISTS _collegedb_fence (keyspace TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
]]

--- What the own rows of a part's rows stand under: those inside a group that other rows refer to.
function fence.inner_space(keyspace, part) return keyspace .. "\1" .. part.name end

local function literal(text) return "'" .. text:gsub("'", "''") .. "'" end

local function fenced(keyspace, key, states)
  return ("EXISTS (SELECT 1 FROM _collegedb_own WHERE keyspace = %s AND key = %s AND state %s)"):format(
    literal(keyspace), key, states or "<> 'active'")
end

function fence.stage_name(part) return quote.name("_collegedb_stage_" .. part.name) end

-- The keys of rows between the group's own and this one are remembered too when their
-- rows are gone: an orphan would not tell its group.
local function key_conditions(keyspace, part, row, states)
  local list = { fenced(keyspace, group.key_sql(part, row), states) }
  local follows = part.found.group and part.found.group.follows
  if follows and follows.member then
    local column = ("CAST(%s.%s AS TEXT)"):format(row, quote.name(part.column))
    list[2] = fenced(fence.inner_space(keyspace, part.parent), column, states)
  end
  return table.concat(list, " OR ")
end

--- SQL of a condition: two rows are equal in a set of columns.
function fence.equal_sql(set, row, other)
  local parts = {}
  for i, column in ipairs(set) do
    local name = quote.name(column.name)
    parts[i] = ("%s.%s = %s.%s COLLATE %s"):format(row, name, other, name, column.collation)
  end
  return table.concat(parts, " AND ")
end

-- Rows that a REPLACE would delete, and values that staged rows will need.
local function clash_conditions(keyspace, part, staged)
  local list = {}
  for _, set in ipairs(part.unique) do
    list[#list + 1] = ("EXISTS (SELECT 1 FROM %s AS v WHERE %s AND (%s))"):format(quote.name(part.name),
      fence.equal_sql(set, "v", "NEW"), key_conditions(keyspace, part, "v"))
    if staged then
      list[#list + 1] = ([[EXISTS (SELECT 1 FROM %s AS s JOIN _collegedb_own AS o
        ON o.keyspace = %s AND o.key = s._collegedb_key WHERE o.state = 'receiving' AND %s)]]):format(
        fence.stage_name(part), literal(keyspace), fence.equal_sql(set, "s", "NEW"))
    end
  end
  return list
end

local function trigger(part, event, conditions)
  return ("CREATE TRIGGER %s BEFORE %s ON %s WHEN %s BEGIN SELECT RAISE(ABORT, 'collegedb:moved'); END;\n")
    :format(quote.name("_collegedb_fence_" .. event .. "_" .. part.name), event, quote.name(part.name), conditions)
end

local function fence_part(keyspace, part)
  local clashes = clash_conditions(keyspace, part, true)
  local insert = { key_conditions(keyspace, part, "NEW"), table.unpack(clashes) }
  local update = { key_conditions(keyspace, part, "OLD"), table.unpack(insert) }
  return trigger(part, "INSERT", table.concat(insert, " OR ")) .. trigger(part, "UPDATE", table.concat(update, " OR "))
    .. trigger(part, "DELETE", key_conditions(keyspace, part, "OLD", "NOT IN ('active', 'tomb')"))
end

--- The stored columns, as SQL.
function fence.column_list(part)
  local names = {}
  for i, name in ipairs(part.columns) do names[i] = quote.name(name) end
  return table.concat(names, ", ")
end

local function stage_part(part)
  local name = fence.stage_name(part)
  return ("CREATE TABLE %s (_collegedb_key TEXT NOT NULL, %s);\nCREATE INDEX %s ON %s (_collegedb_key);\n"):format(
    name, fence.column_list(part), quote.name("_collegedb_stage_key_" .. part.name), name)
end

-- The parts whose rows' own keys other parts refer to.
local function referred(parts)
  local set = {}
  for _, part in ipairs(parts) do
    local follows = part.found.group and part.found.group.follows
    if follows and follows.member then set[part.parent] = true end
  end
  return set
end

local function activation(keyspace, parts)
  local steps, remembered = {}, referred(parts)
  for _, part in ipairs(parts) do
    local list, stage = fence.column_list(part), fence.stage_name(part)
    if remembered[part] then -- from an earlier move away from here
      steps[#steps + 1] = ("DELETE FROM _collegedb_own WHERE keyspace = %s AND key IN (SELECT CAST(%s AS TEXT) FROM %s "
        .. "WHERE _collegedb_key = NEW.key);"):format(literal(fence.inner_space(keyspace, part)),
        quote.name(part.found.key_column), stage)
    end
    steps[#steps + 1] = ("INSERT INTO %s (%s) SELECT %s FROM %s WHERE _collegedb_key = NEW.key;"):format(
      quote.name(part.name), list, list, stage)
    steps[#steps + 1] = ("DELETE FROM %s WHERE _collegedb_key = NEW.key;"):format(stage)
  end
  return ("CREATE TRIGGER %s AFTER UPDATE OF state ON _collegedb_own WHEN OLD.state = 'receiving' AND "
    .. "NEW.state = 'active' AND NEW.keyspace = %s BEGIN %s END;\n"):format(
    quote.name("_collegedb_activate_" .. keyspace), literal(keyspace), table.concat(steps, " "))
end

-- Children first. What other tables refer to is remembered with the key.
local function cleanup(keyspace, parts)
  local steps, remembered = {}, referred(parts)
  for i = #parts, 1, -1 do
    local part = parts[i]
    local rows = group.rows_sql(part, "SELECT NEW.key AS key")
    steps[#steps + 1] = ("DELETE FROM %s WHERE %s;"):format(quote.name(part.name), rows)
  end
  for _, part in ipairs(parts) do
    if remembered[part] then
      table.insert(steps, 1, ("INSERT OR REPLACE INTO _collegedb_own SELECT %s, CAST(%s AS TEXT), 'tomb', NEW.move, "
        .. "NEW.move, NEW.peer, NULL, NEW.at FROM %s WHERE %s;"):format(literal(fence.inner_space(keyspace, part)),
        quote.name(part.found.key_column), quote.name(part.name), group.rows_sql(part, "SELECT NEW.key AS key")))
    end
  end
  return ("CREATE TRIGGER %s AFTER UPDATE OF state ON _collegedb_own WHEN OLD.state = 'sent' AND "
    .. "NEW.state = 'tomb' AND NEW.keyspace = %s BEGIN %s END;\n"):format(
    quote.name("_collegedb_cleanup_" .. keyspace), literal(keyspace), table.concat(steps, " "))
end

-- The fence's SQL for the groups of a keyspace.
local function text_of(keyspace, parts)
  local texts = {}
  for _, part in ipairs(parts) do texts[#texts + 1] = stage_part(part) end
  for _, part in ipairs(parts) do texts[#texts + 1] = fence_part(keyspace, part) end
  texts[#texts + 1] = activation(keyspace, parts)
  texts[#texts + 1] = cleanup(keyspace, parts)
  return table.concat(texts)
end

--- The table of own rows alone.
function fence.make_own(tx) tx:exec(OWN) end

--- Has the shard such a table?
function fence.is_up(tx)
  return tx:first "SELECT 1 AS yes FROM sqlite_schema WHERE name = '_collegedb_own'" ~= nil
end

-- Names of the triggers of a keyspace's fence.
local function trigger_names(keyspace, parts)
  local names = { "_collegedb_activate_" .. keyspace, "_collegedb_cleanup_" .. keyspace }
  for _, part in ipairs(parts) do
    for _, event in ipairs { "INSERT", "UPDATE", "DELETE" } do
      names[#names + 1] = "_collegedb_fence_" .. event .. "_" .. part.name
    end
  end
  return names
end

local function count_triggers(tx, keyspace, parts)
  local n = 0
  for _, name in ipairs(trigger_names(keyspace, parts)) do
    if tx:first("SELECT 1 AS yes FROM sqlite_schema WHERE type = 'trigger' AND name = ?", { name }) then n = n + 1 end
  end
  return n
end

local function take_down(tx, keyspace, parts)
  for _, name in ipairs(trigger_names(keyspace, parts)) do
    tx:exec("DROP TRIGGER IF EXISTS " .. quote.name(name))
  end
  for _, part in ipairs(parts) do tx:exec("DROP TABLE IF EXISTS " .. fence.stage_name(part)) end
end

--- What the shard says of a key, or nil when it says nothing.
---@return { state: string, move: integer, floor: integer, peer: string? }?
function fence.own_row(tx, keyspace, text)
  return fence.is_up(tx) and tx:first("SELECT state, move, floor, peer FROM _collegedb_own "
    .. "WHERE keyspace = ? AND key = ?", { keyspace, text }) or nil
end

--- Puts the fence up for the groups of a keyspace; nothing happens where it stands.
---@param tx userdata
---@param keyspace string without a shard's tag
---@param parts collegedb.Part[] with their storage
function fence.raise_up(tx, keyspace, parts)
  tx:exec(OWN)
  local text = text_of(keyspace, parts)
  local known = tx:first("SELECT text FROM _collegedb_fence WHERE keyspace = ?", { keyspace })
  if known and known.text == text and count_triggers(tx, keyspace, parts) == 3 * #parts + 2 then return end
  if tx:first("SELECT 1 AS yes FROM _collegedb_own WHERE keyspace = ? AND state IN ('sending', 'sent', 'receiving')",
      { keyspace }) then
    errors.raise("CONFLICT", nil, "the schema of tables changed while keys of theirs are being moved")
  end
  take_down(tx, keyspace, parts)
  tx:exec(text)
  tx:run("INSERT OR REPLACE INTO _collegedb_fence VALUES (?, ?)", { keyspace, text })
end

--- Puts the fence up for the groups of a keyspace on shard `index`. Where this process has seen it standing, and no
-- schema has changed since, it stands.
---@param state table of lua/collegedb/state.lua
---@param tx userdata a transaction on the shard
function fence.hold(state, tx, index, keyspace)
  local id, version = index .. ":" .. keyspace, inspect.version(tx)
  if state.fences[id] == version then return end
  local parts = group.parts(state.catalog, index, keyspace)
  group.read_storage(tx, parts)
  if #parts > 0 then fence.raise_up(tx, keyspace, parts) else fence.make_own(tx) end
  state.fences[id] = inspect.version(tx)
end

-- --- a shard that is closed for good -------------------------------------------------------

local function seal_name(name) return quote.name("_collegedb_sealed_" .. name) end

--- Refuses every new row in a table.
function fence.seal(tx, name)
  tx:exec(("CREATE TRIGGER IF NOT EXISTS %s BEFORE INSERT ON %s BEGIN SELECT RAISE(ABORT, 'collegedb:moved'); END")
    :format(seal_name(name), quote.name(name)))
end

--- Lets rows in again, in every table.
function fence.unseal(tx)
  for _, row in ipairs(tx:all [[SELECT name FROM sqlite_schema WHERE type = 'trigger'
      AND substr(name, 1, 18) = '_collegedb_sealed_']]) do
    tx:exec("DROP TRIGGER " .. quote.name(row.name))
  end
end

--- Forgets keys that went, or came, before a time; the fence goes with the last.
---@param time integer seconds, as os.time
function fence.forget(tx, time)
  tx:run("DELETE FROM _collegedb_own WHERE state IN ('tomb', 'active') AND at < ?", { time })
  if tx:first "SELECT 1 AS yes FROM _collegedb_own LIMIT 1" then return end
  for _, row in ipairs(tx:all [[SELECT type, name FROM sqlite_schema WHERE substr(name, 1, 11) = '_collegedb_'
      AND substr(name, 1, 18) <> '_collegedb_sealed_' AND type IN ('trigger', 'table') ORDER BY type DESC]]) do
    tx:exec(("DROP %s %s"):format(row.type, quote.name(row.name)))
  end
end

--- Does this connection enforce foreign keys?
function fence.enforces_keys(shard) return shard.inner:first("PRAGMA foreign_keys").foreign_keys == 1 end

--- Runs a transaction in which deleting rows, or bringing them in, has no effect on rows of other tables: whether the
-- move breaks a foreign key was looked at before.
function fence.transaction(shard, f)
  local on = fence.enforces_keys(shard)
  if on then shard.handle:exec "PRAGMA foreign_keys = OFF" end
  local done, err = pcall(shard.handle.transaction, shard.handle, f)
  if on then shard.handle:exec "PRAGMA foreign_keys = ON" end
  if not done then error(err, 0) end
end

--- Removes what was staged for a move.
function fence.empty_stages(tx, number)
  for _, row in ipairs(tx:all [[SELECT name FROM sqlite_schema WHERE type = 'table'
      AND substr(name, 1, 17) = '_collegedb_stage_']]) do
    tx:run(("DELETE FROM %s WHERE _collegedb_key IN (SELECT key FROM _collegedb_own WHERE move = ?)"):format(
      quote.name(row.name)), { number })
  end
end

return fence
