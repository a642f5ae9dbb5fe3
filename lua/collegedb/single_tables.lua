--- The tables of a directory without transactions over several statements, such as a D1 database: those of a file
-- (lua/collegedb/directory.lua), who has it open, and a procedure by which a change of many rows is one statement.
--
-- The procedure is a view: what is inserted into it, a trigger does, all or nothing. Each insertion says what must be
-- so, and raises the word for what is not: collegedb:done (the change `id` was made already, and its answer lost),
-- stale (the record was changed since `version`), epoch, lapsed (the user's lease has run out, or another one is
-- alone), claim (the work was taken over by another user), and raced (an entry is not what it was).
--
-- `what` is a JSON object of what is to be done; digests, and keys, stand behind one another in two blobs, because JSON
-- has no bytes. `last`, `stop` and `mark` are of any type, so they are columns of their own.

local single_tables = {}

local LIVE <const> = "until >= unixepoch()"

local tables = {
  -- As that of a file; and by the name a move that was begun is known again, when the answer was lost.
  [[CREATE TABLE IF NOT EXISTS _collegedb_moves (
  number INTEGER PRIMARY KEY, keyspace TEXT NOT NULL, source INTEGER NOT NULL, target INTEGER NOT NULL,
  epoch INTEGER NOT NULL, lease INTEGER NOT NULL, name TEXT UNIQUE)]],
  [[CREATE TABLE IF NOT EXISTS _collegedb_users (
  id TEXT PRIMARY KEY, placement INTEGER, alone INTEGER NOT NULL DEFAULT 0, until INTEGER NOT NULL) WITHOUT ROWID]],
  [[CREATE TABLE IF NOT EXISTS _collegedb_claims (number INTEGER PRIMARY KEY, user TEXT NOT NULL)]],
  [[CREATE TABLE IF NOT EXISTS _collegedb_changes (
  id TEXT PRIMARY KEY, at INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID]],
  [[CREATE VIEW IF NOT EXISTS _collegedb_change AS SELECT NULL AS id, NULL AS version, NULL AS epoch, NULL AS user,
  NULL AS alone, NULL AS claim, NULL AS what, NULL AS digests, NULL AS keys, NULL AS last, NULL AS stop,
  NULL AS mark]],
}

-- --- the procedure ---------------------------------------------------------------------------

local function refuse(word, when) return ("SELECT RAISE(ABORT, 'collegedb:%s') WHERE %s;"):format(word, when) end

local function value_of(name) return ("(SELECT value FROM _collegedb_counters WHERE name = '%s')"):format(name) end

local function list(path) return ("json_each(NEW.what, '$.%s')"):format(path) end

-- The digest that belongs to an item of a list.
local DIGEST <const> = "substr(NEW.digests, 1 + 16 * key, 16)"

-- A counter's name, of which a part is among the keys.
local TURN <const> = "'turn:' || CAST(substr(NEW.keys, %s ->> 0, %s ->> 1) AS TEXT)"

local conditions = {
  refuse("done", "EXISTS (SELECT 1 FROM _collegedb_changes WHERE id = NEW.id)"),
  refuse("stale", "NEW.version <> coalesce(" .. value_of "version" .. ", 0)"),
  refuse("epoch", "NEW.epoch <> " .. value_of "epoch"),
  refuse("lapsed", "NEW.user IS NOT NULL AND NOT EXISTS (SELECT 1 FROM _collegedb_users WHERE id = NEW.user AND "
    .. LIVE .. " AND alone >= coalesce(NEW.alone, 0))"),
  refuse("claim", "NEW.claim IS NOT NULL AND NOT EXISTS (SELECT 1 FROM _collegedb_claims WHERE number = NEW.claim "
    .. "AND user = NEW.user)"),
  -- Turns that others have taken meanwhile: what was seen.
  refuse("raced", ("EXISTS (SELECT 1 FROM %s AS t LEFT JOIN _collegedb_counters AS c ON c.name = %s "
    .. "WHERE coalesce(c.value, 0) <> t.value ->> 2)"):format(list "turns", TURN:format("t.value", "t.value"))),
  -- Entries that must not be there, and one that must.
  refuse("raced", ("EXISTS (SELECT 1 FROM %s CROSS JOIN _collegedb_entries ON digest = " .. DIGEST .. ")"):format(
    list "fresh")),
  refuse("raced", ("EXISTS (SELECT 1 FROM %s WHERE NOT EXISTS (SELECT 1 FROM _collegedb_entries WHERE digest = "
    .. DIGEST .. " AND shard = value ->> 0 AND version = value ->> 1))"):format(list "forget")),
  refuse("raced", ("EXISTS (SELECT 1 FROM %s CROSS JOIN _collegedb_entries ON shard = value)"):format(list "unused")),
}

-- What would read all entries is behind a condition that SQLite looks at first.
local VOID <const> = "NEW.what ->> 'void' IS NOT NULL AND version = 0 AND shard IN (SELECT value FROM "
  .. list "void" .. ")"

-- How many entries a change ends; known before, since a trigger can not count afterwards.
local COUNT <const> = ([[INSERT INTO _collegedb_changes SELECT NEW.id, unixepoch(),
  (SELECT count(*) FROM _collegedb_entries WHERE NEW.what ->> 'all')
  + (SELECT count(*) FROM _collegedb_entries WHERE %s)
  WHERE NEW.id IS NOT NULL;
  DELETE FROM _collegedb_changes WHERE at < unixepoch() - 3600;]]):format(VOID)

local entries = {
  "DELETE FROM _collegedb_entries WHERE NEW.what ->> 'all';",
  ("DELETE FROM _collegedb_entries WHERE %s;"):format(VOID),
  ("DELETE FROM _collegedb_entries WHERE NEW.what ->> 'drop' IS NOT NULL AND shard IN (SELECT value FROM %s);"):format(
    list "drop"),
  ("DELETE FROM _collegedb_entries WHERE digest IN (SELECT %s FROM %s);"):format(DIGEST, list "forget"),
  ([[INSERT INTO _collegedb_entries SELECT %s, value, 1 FROM %s WHERE true
    ON CONFLICT (digest) DO UPDATE SET shard = excluded.shard, version = version + 1;]]):format(DIGEST, list "assign"),
  ("INSERT INTO _collegedb_entries SELECT %s, value ->> 0, value ->> 1 FROM %s;"):format(DIGEST, list "fresh"),
  ([[INSERT INTO _collegedb_counters SELECT %s, (value ->> 2) + (value ->> 3) FROM %s WHERE true
    ON CONFLICT (name) DO UPDATE SET value = excluded.value;]]):format(TURN:format("value", "value"), list "turns"),
}

-- What an integration notes (src/directory/takeover_write.c): how far it has come, conflicts, and the rules' verdicts.
local journal = {
  ([[INSERT INTO _collegedb_takes (job, item, last, stop, mark, ended, records, created, at_home, known, conflicts,
      unusable)
    SELECT value ->> 0, value ->> 1, NEW.last, NEW.stop, NEW.mark, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
      value ->> 6, value ->> 7, value ->> 8 FROM %s WHERE true
    ON CONFLICT (job, item) DO UPDATE SET last = excluded.last, stop = excluded.stop, mark = excluded.mark,
      ended = excluded.ended, records = excluded.records, created = excluded.created, at_home = excluded.at_home,
      known = excluded.known, conflicts = excluded.conflicts, unusable = excluded.unusable;]]):format(list "takes"),
  ([[INSERT INTO _collegedb_conflicts (job, item, key, other) SELECT value ->> 0, value ->> 1,
    substr(NEW.keys, value ->> 2, value ->> 3), value ->> 4 FROM %s ORDER BY key;]]):format(list "clashes"),
  ([[UPDATE _collegedb_takes SET resolved = resolved + (SELECT count(*) FROM %s AS v JOIN _collegedb_conflicts AS c
      ON c.id = v.value ->> 0 WHERE v.value ->> 1 = 'keep' AND c.job = _collegedb_takes.job
      AND c.item = _collegedb_takes.item)
    WHERE job = NEW.what ->> 'job';]]):format(list "verdicts"),
  ([[UPDATE _collegedb_conflicts SET verdict = (SELECT value ->> 1 FROM %s WHERE value ->> 0 = _collegedb_conflicts.id)
    WHERE id IN (SELECT value ->> 0 FROM %s);]]):format(list "verdicts", list "verdicts"),
  ("DELETE FROM _collegedb_conflicts WHERE id IN (SELECT value FROM %s);"):format(list "judged"),
}

-- The record's tables: what goes, by its first columns, and then what comes. A weight is a whole number and three
-- powers of two, since SQLite may read decimal digits wrong in the last bit.
local columns = {
  counters = { "name", "value" },
  shards = { "id", "name", "keyspace", "integrated", "conflicts", "schema", "generation", "drained", "settings" },
  placements = { "number", "family" },
  homes = { "placement", "shard", "weight", "keyspace" },
  schema = { "id", "sql" },
}
single_tables.columns = columns
single_tables.names = { "counters", "shards", "placements", "homes", "schema" }
single_tables.keys = { homes = 2 } -- columns of the primary key, where it is not the first one alone

local function gone_sql(name)
  -- In full, because json_each has columns of its own, such as id.
  local first = ("_collegedb_%s.%s"):format(name, columns[name][1])
  local second = single_tables.keys[name] and ("_collegedb_%s.%s"):format(name, columns[name][2])
  return ("DELETE FROM _collegedb_%s WHERE EXISTS (SELECT 1 FROM %s WHERE value ->> 0 = %s%s);"):format(name,
    list(name .. ".gone"), first, second and (" AND value ->> 1 = " .. second) or "")
end

local function come_sql(name)
  local values = {}
  for i in ipairs(columns[name]) do values[i] = ("value ->> %d"):format(i - 1) end
  if name == "homes" then
    values[3] = "(value ->> '$[2][0]') * 1.0 * (value ->> '$[2][1]') / (value ->> '$[2][2]') / (value ->> '$[2][3]')"
  end
  return ("INSERT INTO _collegedb_%s (%s) SELECT %s FROM json_each(NEW.what, '$.%s.rows');"):format(name,
    table.concat(columns[name], ", "), table.concat(values, ", "), name)
end

local function procedure()
  local parts = { table.concat(conditions, "\n"), COUNT, table.concat(entries, "\n"), table.concat(journal, "\n") }
  for _, name in ipairs(single_tables.names) do
    parts[#parts + 1] = gone_sql(name)
    parts[#parts + 1] = come_sql(name)
  end
  parts[#parts + 1] = "UPDATE _collegedb_counters SET value = value + 1 WHERE name = 'version' "
    .. "AND NEW.version IS NOT NULL;"
  return "CREATE TRIGGER IF NOT EXISTS _collegedb_change_made INSTEAD OF INSERT ON _collegedb_change BEGIN\n"
    .. table.concat(parts, "\n") .. "\nEND"
end

-- --- what goes along with a single row ---------------------------------------------------------

local triggers = {
  procedure(),
  -- What was noted of a job goes with it.
  [[CREATE TRIGGER IF NOT EXISTS _collegedb_job_ends AFTER DELETE ON _collegedb_jobs BEGIN
    DELETE FROM _collegedb_takes WHERE job = OLD.id;
    DELETE FROM _collegedb_conflicts WHERE job = OLD.id;
  END]],
  -- A move's number is the counter's next.
  [[CREATE TRIGGER IF NOT EXISTS _collegedb_move_begins AFTER INSERT ON _collegedb_moves BEGIN
    INSERT INTO _collegedb_counters VALUES ('move', NEW.number) ON CONFLICT (name)
      DO UPDATE SET value = max(value, excluded.value);
  END]],
  [[CREATE TRIGGER IF NOT EXISTS _collegedb_user_comes AFTER INSERT ON _collegedb_users BEGIN
    DELETE FROM _collegedb_users WHERE until < unixepoch() - 3600;
    DELETE FROM _collegedb_claims WHERE user NOT IN (SELECT id FROM _collegedb_users);
  END]],
}

--- The statements that make all, in their order.
---@param common string[] those of a file's directory
---@return string[]
function single_tables.statements(common)
  local all = {}
  for _, list_of in ipairs { tables, common, triggers } do table.move(list_of, 1, #list_of, #all + 1, all) end
  return all
end

--- A weight as a whole number, and what it is to be multiplied with and divided by twice, powers of two.
---@param weight number
---@return integer[]
function single_tables.weight(weight)
  local whole, up, down = weight + 0.0, 0, 0
  while whole % 1 ~= 0 do whole, down = whole * 2, down + 1 end
  while whole >= 2 ^ 53 do whole, up = whole / 2, up + 1 end
  return { math.tointeger(whole), 1 << math.min(up, 62), 1 << math.min(down, 62),
    1 << math.min(math.max(down - 62, 0), 62) }
end

return single_tables
