--- The fence: what stops a write that reached a shard which its key has left, or has not reached yet.
--
-- A table `_collegedb_own` of the shard says of keys what is not plain: being sent, sent, gone (tomb), being received.
-- While it has rows the tables of their groups carry triggers that refuse a write to such a key, from any client.
-- Staged rows wait in tables of their own, numbered by their move. `_collegedb_open` has a row for each move that is
-- not over here: one UPDATE of it moves the staged rows in, another one clears the source, all keys of a move at once.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"
local quote = require "collegedb.quote"

local fence = {}
local literal = quote.literal

--- The tables of moves, of what the fence is made of, and of own rows: the last, since by that it is told that the
-- others are there.
fence.OWN = [[CREATE TABLE IF NOT EXISTS _collegedb_open (move INTEGER PRIMARY KEY, keyspace TEXT NOT NULL,
  state TEXT NOT NULL, peer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS _collegedb_fence (keyspace TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _collegedb_own (
  keyspace TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, move INTEGER NOT NULL, floor INTEGER NOT NULL,
  peer TEXT, before TEXT, at INTEGER NOT NULL, PRIMARY KEY (keyspace, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS _collegedb_own_move ON _collegedb_own (move);
]]

--- Ends of INSERT statements that take keys for a move: of a key that left once, where it went is kept in case that
-- this move is undone.
fence.TAKING = {
  receiving = [[ON CONFLICT DO UPDATE SET state = 'receiving', move = excluded.move, before = peer,
    peer = excluded.peer, at = excluded.at WHERE state = 'tomb' AND floor < excluded.move]],
  sending = [[ON CONFLICT DO UPDATE SET state = 'sending', move = excluded.move, peer = excluded.peer,
    at = excluded.at WHERE state = 'active' AND floor < excluded.move]],
}

--- The end of one that raises the floors of keys. Of those that are on their way by another move the floor stays: by it
-- that one's end is told.
fence.RAISING = [[ON CONFLICT DO UPDATE SET floor = max(floor, excluded.floor), move = CASE state WHEN 'active'
  THEN max(move, excluded.floor) ELSE move END WHERE state IN ('active', 'tomb')]]

-- Staged rows of move m have the numbers from m * 2^31 on.
local ROW_BITS <const> = 31

--- SQL of the move that has staged a row.
fence.move_sql = ("(_collegedb_row >> %d)"):format(ROW_BITS)

-- True only inside the one statement that moves staged rows in or clears a source: nobody else ever sees such a state.
local AT_WORK <const> = "EXISTS (SELECT 1 FROM _collegedb_open WHERE state IN ('active', 'tomb'))"

--- What the own rows of a part's rows stand under: those inside a group that other rows refer to.
function fence.inner_space(keyspace, part) return keyspace .. "\1" .. part.name end

local function fenced(keyspace, key, states)
  return ("EXISTS (SELECT 1 FROM _collegedb_own WHERE keyspace = %s AND key = %s AND state %s)"):format(
    literal(keyspace), key, states or "<> 'active'")
end

--- `part.mark`, on shards without transactions, tells the stages of different columns apart.
function fence.stage_name(part) return quote.name(("_collegedb_stage_%s%s"):format(part.mark or "", part.name)) end

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
  return quote.joined(parts, "AND")
end

-- Do equal values in the set mean the same key? Then what is refused for the key is refused for them.
local function holds_key(part, set)
  local root, kind = group.key_kind(part)
  for _, column in ipairs(set) do
    if kind and quote.fold(column.name) == quote.fold(part.column) then
      local same = column.collation == "BINARY" or (root.fold and column.collation == "NOCASE")
      if kind == "integer" or (kind == "text" and same) then return true end
    end
  end
  return false
end

--- The unique sets of a part in which rows of different keys could be equal.
function fence.loose_sets(part)
  local list = {}
  for _, set in ipairs(part.unique) do
    if not holds_key(part, set) then list[#list + 1] = set end
  end
  return list
end

-- Rows that a REPLACE would delete.
local function victim_condition(keyspace, part, set)
  return ("EXISTS (SELECT 1 FROM %s AS v WHERE %s AND (%s))"):format(quote.name(part.name),
    fence.equal_sql(set, "v", "NEW"), key_conditions(keyspace, part, "v"))
end

-- Values that staged rows will need. The columns of a stage have no type: with the new value's own the index could not
-- be used, and it has been applied to the value by then.
local function staged_condition(part, set)
  local parts = {}
  for i, column in ipairs(set) do
    local name = quote.name(column.name)
    parts[i] = ("s.%s = +NEW.%s COLLATE %s"):format(name, name, column.collation)
  end
  return ("EXISTS (SELECT 1 FROM %s AS s WHERE %s)"):format(fence.stage_name(part), quote.joined(parts, "AND"))
end

local function changed(set)
  local parts = {}
  for i, column in ipairs(set) do
    local name = quote.name(column.name)
    parts[i] = ("NEW.%s IS NOT OLD.%s"):format(name, name)
  end
  return quote.joined(parts, "OR")
end

-- Moving in and clearing insert and delete many rows, so that these ask first whether that is going on. Where foreign
-- keys can not be switched off, clearing also updates what refers to a row ON DELETE SET NULL.
local function trigger(part, time, event, conditions, tag)
  local name = ("_collegedb_fence_%s%s_%s"):format(tag, time == "AFTER" and "AUTO" or event, part.name)
  local condition = ("(%s)"):format(quote.joined(conditions, "OR"))
  if event ~= "UPDATE" or tag ~= "" then condition = ("NOT %s AND %s"):format(AT_WORK, condition) end
  return { name = name, sql = ("CREATE TRIGGER %s %s %s ON %s WHEN %s BEGIN SELECT RAISE(ABORT, 'collegedb:moved'); "
    .. "END;\n"):format(quote.name(name), time, event, quote.name(part.name), condition) }
end

local function is_alias(part)
  for _, set in ipairs(part.unique) do
    if set.alias and quote.fold(set[1].name) == quote.fold(part.column) then return true end
  end
  return false
end

-- A number that SQLite chooses for a new row is known only after it was inserted.
local function fence_part(keyspace, part, tag)
  local key, insert, after = key_conditions(keyspace, part, "NEW"), {}, {}
  local update = { key_conditions(keyspace, part, "OLD"),
    ("((%s) AND (%s))"):format(changed { { name = part.column } }, key) }
  table.insert(is_alias(part) and after or insert, key)
  for _, set in ipairs(fence.loose_sets(part)) do
    local victim, staged = victim_condition(keyspace, part, set), staged_condition(part, set)
    insert[#insert + 1] = victim
    table.insert(set.alias and after or insert, staged)
    update[#update + 1] = ("((%s) AND (%s OR %s))"):format(changed(set), victim, staged)
  end
  local list = { trigger(part, "BEFORE", "UPDATE", update, tag),
    trigger(part, "BEFORE", "DELETE", { key_conditions(keyspace, part, "OLD", "NOT IN ('active', 'tomb')") }, tag) }
  if #insert > 0 then list[#list + 1] = trigger(part, "BEFORE", "INSERT", insert, tag) end
  if #after > 0 then list[#list + 1] = trigger(part, "AFTER", "INSERT", after, tag) end
  return list
end

--- The stored columns, as SQL.
function fence.column_list(part)
  local names = {}
  for i, name in ipairs(part.columns) do names[i] = quote.name(name) end
  return table.concat(names, ", ")
end

--- SQL of a condition on rows of a stage: they are of a move.
---@param number string SQL of its number
function fence.staged_sql(number)
  return ("_collegedb_row BETWEEN %s << %d AND (%s << %d) + %d"):format(number, ROW_BITS, number, ROW_BITS,
    (1 << ROW_BITS) - 1)
end

--- The number of a move's first staged row.
function fence.first_row(number) return number << ROW_BITS end

--- The statements that make a part's stage.
---@return string[]
function fence.stage_sql(part)
  local name = fence.stage_name(part)
  local texts = { ("CREATE TABLE %s (_collegedb_row INTEGER PRIMARY KEY, %s);\n"):format(name,
    fence.column_list(part)) }
  for i, set in ipairs(fence.loose_sets(part)) do
    local columns = {}
    for n, column in ipairs(set) do columns[n] = ("%s COLLATE %s"):format(quote.name(column.name), column.collation) end
    texts[i + 1] = ("CREATE INDEX %s ON %s (%s);\n"):format(
      quote.name(("_collegedb_stage_%d_%s%s"):format(i, part.mark or "", part.name)), name, table.concat(columns, ", "))
  end
  return texts
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

-- What one UPDATE of a move's open row does beside, from one state to another.
local function action(keyspace, name, from, to, steps, tag)
  name = ("_collegedb_%s%s_%s"):format(tag == "" and "" or "fence_" .. tag, name, keyspace)
  steps[#steps + 1] = "DELETE FROM _collegedb_open WHERE move = NEW.move;"
  return { name = name, sql = ("CREATE TRIGGER %s AFTER UPDATE OF state ON _collegedb_open WHEN OLD.state = '%s' AND "
    .. "NEW.state = '%s' AND NEW.keyspace = %s BEGIN %s END;\n"):format(quote.name(name), from, to, literal(keyspace),
    table.concat(steps, " ")) }
end

local function activation(keyspace, parts, tag)
  local remembered, rows = referred(parts), fence.staged_sql "NEW.move"
  local steps = { "UPDATE _collegedb_own SET state = 'active', floor = NEW.move WHERE move = NEW.move AND "
    .. "state = 'receiving';" }
  for _, part in ipairs(parts) do
    local list, stage = fence.column_list(part), fence.stage_name(part)
    if remembered[part] then -- from an earlier move away from here
      steps[#steps + 1] = ("DELETE FROM _collegedb_own WHERE keyspace = %s AND key IN (SELECT CAST(%s AS TEXT) FROM %s "
        .. "WHERE %s);"):format(literal(fence.inner_space(keyspace, part)), quote.name(part.found.key_column), stage,
        rows)
    end
    steps[#steps + 1] = ("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s ORDER BY _collegedb_row;"):format(
      quote.name(part.name), list, list, stage, rows)
    steps[#steps + 1] = ("DELETE FROM %s WHERE %s;"):format(stage, rows)
  end
  return action(keyspace, "activate", "receiving", "active", steps, tag)
end

--- The keys of a move, as SQL. What is remembered of rows inside groups stands under other keyspaces.
---@param number string SQL of its number
function fence.keys_sql(keyspace, number)
  return ("SELECT key FROM _collegedb_own WHERE move = %s AND keyspace = %s"):format(number, literal(keyspace))
end

-- Children first. What other tables refer to is remembered with the key.
local function cleanup(keyspace, parts, tag)
  local steps, remembered, keys = {}, referred(parts), fence.keys_sql(keyspace, "NEW.move")
  for _, part in ipairs(parts) do
    if remembered[part] then
      steps[#steps + 1] = ("INSERT OR REPLACE INTO _collegedb_own SELECT %s, CAST(%s AS TEXT), 'tomb', NEW.move, "
        .. "NEW.move, NEW.peer, NULL, (SELECT max(at) FROM _collegedb_own WHERE move = NEW.move) FROM %s WHERE %s;")
        :format(literal(fence.inner_space(keyspace, part)), quote.name(part.found.key_column), quote.name(part.name),
        group.rows_sql(part, keys))
    end
  end
  steps[#steps + 1] = "UPDATE _collegedb_own SET state = 'tomb' WHERE move = NEW.move AND state = 'sent';"
  for i = #parts, 1, -1 do
    steps[#steps + 1] = ("DELETE FROM %s WHERE %s;"):format(quote.name(parts[i].name), group.rows_sql(parts[i], keys))
  end
  return action(keyspace, "cleanup", "sent", "tomb", steps, tag)
end

--- The triggers of the fence for the groups of a keyspace.
---@param tag string? what their names have that tells them from those of an earlier schema
---@return { name: string, sql: string }[]
function fence.triggers(keyspace, parts, tag)
  local list = {}
  tag = tag and tag .. "_" or ""
  for _, part in ipairs(parts) do
    for _, each in ipairs(fence_part(keyspace, part, tag)) do list[#list + 1] = each end
  end
  list[#list + 1] = activation(keyspace, parts, tag)
  list[#list + 1] = cleanup(keyspace, parts, tag)
  return list
end

local function text_of(parts, triggers)
  local texts = {}
  for _, part in ipairs(parts) do texts[#texts + 1] = table.concat(fence.stage_sql(part)) end
  for _, each in ipairs(triggers) do texts[#texts + 1] = each.sql end
  return table.concat(texts)
end

--- The table of own rows alone.
function fence.make_own(tx) tx:exec(fence.OWN) end

--- Has the shard such a table?
function fence.is_up(tx)
  return tx:first "SELECT 1 AS yes FROM sqlite_schema WHERE name = '_collegedb_own'" ~= nil
end

local function is_whole(tx, triggers)
  for _, each in ipairs(triggers) do
    if not tx:first("SELECT 1 AS yes FROM sqlite_schema WHERE type = 'trigger' AND name = ?", { each.name }) then
      return false
    end
  end
  return true
end

local function take_down(tx, triggers, parts)
  for _, each in ipairs(triggers) do tx:exec("DROP TRIGGER IF EXISTS " .. quote.name(each.name)) end
  for _, part in ipairs(parts) do tx:exec("DROP TABLE IF EXISTS " .. fence.stage_name(part)) end
end

--- Calls f(…), which reads the fence's tables outside of a transaction: nil where they are gone, since another program
-- may take them down after they were seen.
function fence.reading(f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local err = results[2]
  local gone = errors.is_error(err, "SQL") and err.message:find("no such table: _collegedb_", 1, true)
  if not gone then error(err, 0) end
end

local function is_own(row)
  return math.type(row.move) == "integer" and math.type(row.floor) == "integer" and math.type(row.at) == "integer"
end

--- An own row as it was read. Raises CORRUPT for one that CollegeDB can not have written: the file is damaged, or
--- others wrote it.
---@param row table?
---@return table?
function fence.own_checked(row)
  if row and not is_own(row) then
    errors.raise("CORRUPT", nil, "a shard is damaged: its table _collegedb_own has what CollegeDB never writes")
  end
  return row
end

--- What the shard says of a key, or nil when it says nothing.
---@return { state: string, move: integer, floor: integer, peer: string? }?
function fence.own_row(tx, keyspace, text)
  return fence.own_checked(fence.reading(tx.first, tx,
    "SELECT state, move, floor, peer, before, at FROM _collegedb_own WHERE keyspace = ? AND key = ?",
    { keyspace, text }))
end

---@param shard string? its name
function fence.raise_changed(shard)
  errors.raise("CONFLICT", { shard = shard }, "the schema of tables changed while keys of theirs are being moved")
end

--- Puts the fence up for the groups of a keyspace; nothing happens where it stands.
---@param tx userdata
---@param keyspace string without a shard's tag
---@param parts collegedb.Part[] with their storage
function fence.raise_up(tx, keyspace, parts)
  tx:exec(fence.OWN)
  local triggers = fence.triggers(keyspace, parts)
  local text = text_of(parts, triggers)
  local known = tx:first("SELECT text FROM _collegedb_fence WHERE keyspace = ?", { keyspace })
  if known and known.text == text and is_whole(tx, triggers) then return end
  if tx:first("SELECT 1 AS yes FROM _collegedb_open WHERE keyspace = ?", { keyspace }) then
    fence.raise_changed()
  end
  take_down(tx, triggers, parts)
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
  -- One that was put up only now is not there before the commit.
  if inspect.version(tx) == version then state.fences[id] = version end
end

--- Is a move under way here?
function fence.is_open(tx)
  return fence.reading(tx.first, tx, "SELECT 1 AS yes FROM _collegedb_open LIMIT 1") ~= nil
end

--- Does the shard hold the keys of this move for it?
function fence.is_sending(tx, number)
  return fence.reading(tx.first, tx, "SELECT 1 AS yes FROM _collegedb_open WHERE move = ? AND state = 'sending'",
    { number }) ~= nil
end

--- Forgets keys that went, or came, before a time; the fence goes with the last.
---@param time integer seconds, as os.time
function fence.forget(tx, time)
  tx:run("DELETE FROM _collegedb_own WHERE state IN ('tomb', 'active') AND at < ?", { time })
  fence.remove_bare(tx)
end

--- Takes the fence down where no key is behind it.
function fence.remove_bare(tx)
  if not tx:first "SELECT 1 AS yes FROM _collegedb_own LIMIT 1" then fence.remove(tx) end
end

--- Takes the triggers down inside a transaction that puts them up again: SQLite renames no table to a name that one of
-- them says and that is of none, as at the end of making a table anew.
function fence.lower(tx)
  if fence.is_open(tx) then fence.raise_changed() end
  for _, row in ipairs(tx:all [[SELECT name FROM sqlite_schema WHERE type = 'trigger'
      AND substr(name, 1, 11) = '_collegedb_' AND substr(name, 1, 18) <> '_collegedb_sealed_']]) do
    tx:exec("DROP TRIGGER " .. quote.name(row.name))
  end
  tx:run "UPDATE _collegedb_fence SET text = ''"
end

--- Is a fence in the way of a statement of the schema?
function fence.is_in_the_way(err)
  return errors.is_error(err, "SQL") and err.message:find("error in trigger _collegedb_", 1, true) ~= nil
end

--- Takes down what is left of the fence of a keyspace whose tables are gone, unless keys of it are on their way.
---@param keyspace string
function fence.remove_of(tx, keyspace)
  if tx:first("SELECT 1 AS yes FROM _collegedb_open WHERE keyspace = ?", { keyspace }) then return end
  for _, name in ipairs { "activate", "cleanup" } do
    tx:exec("DROP TRIGGER IF EXISTS " .. quote.name(("_collegedb_%s_%s"):format(name, keyspace)))
  end
  tx:run("DELETE FROM _collegedb_fence WHERE keyspace = ?", { keyspace })
end

--- Takes away all that the fence is made of, staged rows too.
function fence.remove(tx)
  for _, row in ipairs(tx:all [[SELECT type, name FROM sqlite_schema WHERE substr(name, 1, 11) = '_collegedb_'
      AND substr(name, 1, 18) <> '_collegedb_sealed_' AND type IN ('trigger', 'table') ORDER BY type DESC]]) do
    tx:exec(("DROP %s %s"):format(row.type, quote.name(row.name)))
  end
end

--- Does this connection enforce foreign keys? Where there are no transactions it may be impossible not to.
function fence.enforces_keys(shard)
  return shard.single or shard.inner:first("PRAGMA foreign_keys").foreign_keys == 1
end

-- Sets a pragma until the result is closed. Raises BUSY in a transaction of this program, which would not heed it.
local function set(shard, name, value)
  local before = shard.inner:first("PRAGMA " .. name)[name]
  local restore = setmetatable({}, { __close = function()
    shard.inner:run(("PRAGMA %s = %d"):format(name, before))
  end })
  shard.handle:run(("PRAGMA %s = %d"):format(name, value))
  return restore
end

--- Puts off the checkpoints that commits of this connection may bring, until the result is closed: one takes longer
-- than the whole of a small move, for which writers wait.
function fence.without_checkpoints(shard) return not shard.single and set(shard, "wal_autocheckpoint", 0) or nil end

local EXTRA <const> = 3 -- of PRAGMA synchronous: as FULL, and the end of a rollback journal is synced too

--- Runs a step of the protocol: a transaction that no power cut takes back once it has returned, whatever the shard's
-- `synchronous` is. The next step, in another file, relies on it.
function fence.step(shard, f)
  core.check_outside(shard.handle) -- BUSY inside a transaction, where the pragma fails
  if shard.inner:first("PRAGMA synchronous").synchronous >= EXTRA then return shard.handle:transaction(f) end
  local _ <close> = set(shard, "synchronous", EXTRA)
  return shard.handle:transaction(f)
end

--- Runs a step in which deleting rows, or bringing them in, has no effect on rows of other tables: whether the
-- move breaks a foreign key was looked at before.
function fence.transaction(shard, f)
  if not fence.enforces_keys(shard) then return fence.step(shard, f) end
  local _ <close> = set(shard, "foreign_keys", 0)
  return fence.step(shard, f)
end

--- Removes what was staged for a move.
function fence.empty_stages(tx, number)
  for _, row in ipairs(tx:all [[SELECT name FROM sqlite_schema WHERE type = 'table'
      AND substr(name, 1, 17) = '_collegedb_stage_']]) do
    tx:run(("DELETE FROM %s WHERE %s"):format(quote.name(row.name), fence.staged_sql "?1"), { number })
  end
end

return fence
