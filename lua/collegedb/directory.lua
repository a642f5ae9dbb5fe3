--- The directory: where keys live that are not at home, and the record of the
-- shards. SQL over one shard; the operations on single entries are in C
-- (src/directory). Every commit of it is synchronous = EXTRA.
--
-- A directory of another kind (lua/collegedb/kv_directory.lua, lua/collegedb/single_directory.lua) has the same
-- interface:
--
--   path, secret      what errors call it; mapping_secret
--   file              the path of its file, or nil
--   shard             the tables of the record: shards, placements, homes, counters, schemas. To be read;
--                     written only by the tx of change
--   hold, foreseeing  run f, which may see the record as it was at its first look; which will look these keys up
--   entries           what src/bind/home.c looks entries up in, or nil where only Lua can
--   foreground        why integration can not run in the background, or nil
--   close, alone, epoch, count_on, knows, name_of
--   work_in, without_workers    whether the placement is not being dropped; runs f if nobody works in some of them
--   cache_life, lasts, stay     for how many seconds a key's place may be remembered, whether what was decided now may
--                     be, and that this instance is still there
--   change(f, after)  f(tx) changes the record, and makes the next epoch if it returns true; after(tx) then changes
--                     entries and names, here in the same transaction
--   lookup, claim, replace, correct, assign, publish, publish_all, forget, void, discard, counts,
--   count_found       the entries
--   names, add_names, set_names    names of shards that have no record
--   turns(), rotate   for the allocation of one new key: take, claim, __close; or to the next of some shards, or nil
--   takeover(plan)    takes a column's keys, a batch a step: step, counts, conflicts
--   keeps_journal     there is a journal (lua/collegedb/journal.lua), and keys can be moved; then there are also
--                     claim_work, release_work, work_taken_for, journaled, begin_move, exclusively, drop,
--                     note_verdicts, and
--   journal           the tables that are not the record's, to be read, and written a row at a time
--
-- Entries are never written by SQL but here.

local config = require "collegedb.config"
local core = require "collegedb.core"
local move_locks = require "collegedb.move_locks"
local record_check = require "collegedb.record_check"
local settings = require "collegedb.directory_settings"
local turns = require "collegedb.turns"
require "collegedb.transaction" -- gives shards their method transaction

local directory = {}

local Directory = { keeps_journal = true }
Directory.__index = Directory
directory.class = Directory

local FORMAT <const> = settings.FORMAT

local schema = {
  "CREATE TABLE IF NOT EXISTS _collegedb_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
  [[CREATE TABLE IF NOT EXISTS _collegedb_entries (
  digest BLOB PRIMARY KEY, shard INTEGER NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID]],
  [[CREATE TABLE IF NOT EXISTS _collegedb_shards (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, keyspace TEXT, integrated INTEGER NOT NULL DEFAULT 0,
  conflicts INTEGER NOT NULL DEFAULT 0, schema INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0,
  drained INTEGER NOT NULL DEFAULT 0, -- 1: gets no new keys, 2: empty, and refuses rows
  settings TEXT -- of one that was added while programs ran
  )]],
  "CREATE TABLE IF NOT EXISTS _collegedb_placements (number INTEGER PRIMARY KEY, family TEXT NOT NULL)",
  [[CREATE TABLE IF NOT EXISTS _collegedb_homes (
  placement INTEGER NOT NULL, shard INTEGER NOT NULL, weight REAL NOT NULL, keyspace TEXT,
  PRIMARY KEY (placement, shard)) WITHOUT ROWID]],
  [[CREATE TABLE IF NOT EXISTS _collegedb_moves (
  number INTEGER PRIMARY KEY, keyspace TEXT NOT NULL, source INTEGER NOT NULL, target INTEGER NOT NULL,
  epoch INTEGER NOT NULL, lease INTEGER NOT NULL, lock TEXT -- of lua/collegedb/move_locks.lua
  )]],
  "CREATE TABLE IF NOT EXISTS _collegedb_schema (id INTEGER PRIMARY KEY AUTOINCREMENT, sql TEXT NOT NULL UNIQUE)",
  -- The journal of workflows (lua/collegedb/journal.lua); `takes` and `conflicts` are integration's.
  [[CREATE TABLE IF NOT EXISTS _collegedb_jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, workflow TEXT NOT NULL, subject INTEGER NOT NULL, signature TEXT NOT NULL,
  step TEXT NOT NULL, state TEXT NOT NULL, UNIQUE (workflow, subject))]],
  [[CREATE TABLE IF NOT EXISTS _collegedb_takes (
  job INTEGER NOT NULL, item INTEGER NOT NULL, last, stop, mark, ended INTEGER NOT NULL, records INTEGER NOT NULL,
  created INTEGER NOT NULL, at_home INTEGER NOT NULL, known INTEGER NOT NULL, conflicts INTEGER NOT NULL,
  unusable INTEGER NOT NULL, resolved INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (job, item)) WITHOUT ROWID]],
  [[CREATE TABLE IF NOT EXISTS _collegedb_conflicts (
  id INTEGER PRIMARY KEY, job INTEGER NOT NULL, item INTEGER NOT NULL, key, other INTEGER NOT NULL, verdict TEXT)]],
  -- Whoever says that a shard is not integrated, or not any more, makes void what an integration has done so far.
  [[CREATE TRIGGER IF NOT EXISTS _collegedb_distrust AFTER UPDATE OF integrated ON _collegedb_shards
  WHEN NEW.integrated = 0 BEGIN
    UPDATE _collegedb_shards SET generation = generation + 1 WHERE id = NEW.id;
  END]],
  "INSERT OR IGNORE INTO _collegedb_counters VALUES ('format', " .. FORMAT .. "), ('epoch', 1)",
}

--- Makes the tables of a directory in a shard that has none of them, or not all.
function directory.make_tables(shard) shard:exec("BEGIN IMMEDIATE;" .. table.concat(schema, ";") .. ";COMMIT;") end

--- The statements that make them, each by itself.
---@return string[]
function directory.statements() return table.move(schema, 1, #schema, 1, {}) end

local ADDED <const> = { { "_collegedb_shards", "generation", "INTEGER NOT NULL DEFAULT 0" },
  { "_collegedb_shards", "drained", "INTEGER NOT NULL DEFAULT 0" }, { "_collegedb_shards", "settings", "TEXT" },
  { "_collegedb_moves", "lock", "TEXT" } }

-- Of a directory that an earlier version made.
local function add_columns(shard)
  for _, column in ipairs(ADDED) do
    local has = shard:first("SELECT count(*) AS n, max(name = ?2) AS this FROM pragma_table_info(?1)",
      { column[1], column[2] })
    if has.n > 0 and has.this == 0 then shard:exec(("ALTER TABLE %s ADD COLUMN %s %s"):format(table.unpack(column))) end
  end
end

local function prepare(self)
  local row = self.shard:first [[SELECT (SELECT count(*) FROM sqlite_schema WHERE name = '_collegedb_distrust') +
    (SELECT count(*) FROM pragma_table_info('_collegedb_shards') WHERE name = 'settings') +
    (SELECT count(*) FROM pragma_table_info('_collegedb_moves') WHERE name = 'lock') AS n]]
  if row.n < 3 then
    add_columns(self.shard)
    directory.make_tables(self.shard)
  end
  settings.check_format(self)
end

directory.mark, directory.check_mark, directory.check_format = settings.mark, settings.check_mark, settings.check_format


--- Opens or creates the directory at `path`, or one in memory for "memory:", or one in a table KV, or on a shard
-- without transactions over several statements.
---@param path string|table|userdata
---@param secret string? mapping_secret
---@param options { hash_shard_mappings: boolean?, keyspaces: boolean? }? the former is a table KV's
function directory.open(path, secret, options)
  options = options or {}
  local bare = options.keyspaces == false
  if type(path) == "userdata" then return require("collegedb.single_directory").open(path, secret, false, nil, bare) end
  if config.is_shard_value(path) then
    return require("collegedb.single_directory").open(path:open(tostring(path):sub(1, 127)), secret, true,
      path.entries and path:entries() or nil, bare)
  end
  if type(path) == "table" then return require("collegedb.kv_directory").open(path, secret, options) end
  local memory = path == "memory:" or path == ":memory:"
  local shard = core.sqlite(memory and ":memory:" or path, { name = "the directory", synchronous = "extra" })
  local self = setmetatable({
    path = path, file = not memory and path or nil, secret = secret, shard = shard, journal = shard,
    entries = core.directory(shard, secret), inner = core.inner(shard),
    foreground = memory and "the directory is in memory" or nil,
  }, Directory)
  local done, err = pcall(function()
    if not memory then
      self.lock_path = core.real_path(path) .. "-users"
      self.lock = core.filelock(self.lock_path, path)
    end
    prepare(self)
    settings.check_secret(self)
    settings.check_keyspaces(self, function(...) shard:run(...) end, bare)
  end)
  if done then return self end
  self:close()
  error(err, 0)
end

function Directory:close()
  core.close(self.shard)
  if self.lock then self.lock:close() end
end

--- Runs `f` while no other instance has the directory open; false if one has.
function Directory:alone(f)
  if self.lock and not self.lock:exclusive() then return false end
  local done, err = pcall(f)
  if self.lock then self.lock:shared() end
  if not done then error(err, 0) end
  return true
end

local PLACEMENTS <const> = 1 << 40 -- the lock numbers of placements; smaller ones are a journal's

--- Notes for others that this instance works in a placement, and in no other one any more. False while somebody is
-- about to drop it: then there is a newer one.
---@param number integer
function Directory:work_in(number)
  if not self.lock or self.works_in == number then return true end
  if not self.lock:share(PLACEMENTS + number) then return false end
  if self.works_in then self.lock:release(PLACEMENTS + self.works_in) end
  self.works_in = number
  return true
end

--- Runs `f` while no instance works in one of the placements from `first` to `last`, nor can begin to; false if one
-- does.
function Directory:without_workers(first, last, f)
  local claimed, all, done, err = {}, true, true, nil
  for number = first, last do
    if not self.lock then break end
    all = all and self.lock:claim(PLACEMENTS + number)
    if all then claimed[#claimed + 1] = number end
  end
  if all then done, err = pcall(f) end
  for _, number in ipairs(claimed) do self.lock:release(PLACEMENTS + number) end
  if all and not done then error(err, 0) end
  return all
end

--- A file is read at each look; and who has it open, is there.
function Directory.hold(_, f, ...) return f(...) end
function Directory.foreseeing(_, _, f) f() end
function Directory.cache_life() return math.huge end
function Directory.lasts() return true end
function Directory.stay() end

--- Takes a piece of work for this instance, by its number; false while another one has it.
---@param number integer
function Directory:claim_work(number) return not self.lock or self.lock:claim(number) end
function Directory.work_taken_for() end -- who has died has nothing
function Directory:release_work(number)
  if self.lock then self.lock:release(number) end
end

--- Runs `f` while nobody else does who asked for the same; runs `f(tx)`, which writes the journal.
function Directory:exclusively(f) self.shard:transaction(f) end
function Directory:journaled(f) return self.shard:transaction(f) end

--- The current epoch, and the shard id and version of the key's entry if it has one.
function Directory:lookup(keyspace, text)
  return self.entries:lookup(keyspace, text)
end

--- Gives the key to a shard unless it has an entry. Returns the id that now
-- stands, or nil when the epoch is not `epoch` any more.
function Directory:claim(keyspace, text, id, epoch)
  turns.check_none(self)
  return self.entries:claim(keyspace, text, id, epoch)
end

--- Sets the key's entry if its version is still `version` (nil: if it has none).
---@return boolean replaced
function Directory:replace(keyspace, text, version, id)
  local digest = core.blob(core.digest(keyspace, text, self.secret))
  if version == nil then
    return self.shard:run([[INSERT INTO _collegedb_entries VALUES (?, ?, 1) ON CONFLICT DO NOTHING]],
      { digest, id }).meta.changes == 1
  end
  return self.shard:run([[UPDATE _collegedb_entries SET shard = ?, version = version + 1
    WHERE digest = ? AND version = ?]], { id, digest, version }).meta.changes == 1
end

-- The shard ?2 was not closed meanwhile: then no entry may name it, since nothing could be inserted there.
local TAKES_ROWS <const> = "NOT EXISTS (SELECT 1 FROM _collegedb_shards WHERE id = ?2 AND drained = 2)"
directory.TAKES_ROWS = TAKES_ROWS

--- Sets an entry that is wrong right, if its version is still `version` (nil: if there is none). The version stays, so
-- that a move of the key that has begun meanwhile writes over it.
---@return boolean corrected
function Directory:correct(keyspace, text, version, id)
  if version == nil then return self:replace(keyspace, text, nil, id) end
  local sql = "UPDATE _collegedb_entries SET shard = ?2 WHERE digest = ?1 AND version = ?3 AND " .. TAKES_ROWS
  return self.shard:run(sql,
    { core.blob(core.digest(keyspace, text, self.secret)), id, version }).meta.changes == 1
end

local SET = [[INSERT INTO _collegedb_entries VALUES (?, ?, 1)
  ON CONFLICT (digest) DO UPDATE SET shard = excluded.shard, version = version + 1]]
local SET_NEW = "INSERT INTO _collegedb_entries VALUES (?, ?, 1) ON CONFLICT DO NOTHING"

--- Sets the entries of keys, whatever they were, or only where there is none.
---@param list { keyspace: string, text: string, id: integer }[]
---@param only_new boolean
---@param tx userdata? of change
---@return integer count of entries written
function Directory:assign(list, only_new, tx)
  local count = 0
  for _, each in ipairs(list) do
    local digest = core.blob(core.digest(each.keyspace, each.text, self.secret))
    count = count + (tx or self.shard):run(only_new and SET_NEW or SET, { digest, each.id }).meta.changes
  end
  return count
end

--- What the entries of keys stand under, for newest and publish.
---@param keyspace string with its tag
---@param texts string[]
---@return string
function Directory:digests(keyspace, texts) return core.digests(keyspace, texts, self.secret) end

-- The highest version of some keys' entries, where that is not below `number`.
local function newest(tx, digests, number)
  local touch = "UPDATE _collegedb_entries SET version = version WHERE digest = ?1 AND version >= ?2"
  if core.run_each(tx, touch, digests, number) == 0 then return nil end
  return tx:first("SELECT max(version) AS n FROM _collegedb_entries").n
end

local NEXT_MOVE <const> = [[INSERT INTO _collegedb_counters VALUES ('move', ?1 + 1)
  ON CONFLICT DO UPDATE SET value = max(value, ?1) + 1 RETURNING value]]

--- Journals a move, under a number above `floor`, every other move's, and the versions of its keys' entries.
---@param move { keyspace: string, digests: string, source: integer, target: integer, epoch: integer, floor: integer,
--- lease: integer, hold: boolean? } lease in seconds; hold: with a lock, that ends with the process or moves.let_go
---@return integer? number nil when the epoch is another one
function Directory:begin_move(move)
  local number
  local done, answer = pcall(self.shard.transaction, self.shard, function(tx)
    if tx:first "SELECT value FROM _collegedb_counters WHERE name = 'epoch'".value ~= move.epoch then return nil end
    number = tx:first(NEXT_MOVE, { move.floor }).value
    local above = newest(tx, move.digests, number)
    if above then number = record_check.move_number(self, tx:first(NEXT_MOVE, { above }).value) end
    local lock = move.hold and move_locks.hold(self, number) -- before others can see the line
    tx:run("INSERT INTO _collegedb_moves (number, keyspace, source, target, epoch, lease, lock) "
      .. "VALUES (?, ?, ?, ?, ?, unixepoch() + ?, ?)",
      { number, move.keyspace, move.source, move.target, move.epoch, move.lease, lock or core.null })
    return number
  end)
  if done then return answer end
  if number then move_locks.release(self, number) end
  error(answer, 0)
end

local PUBLISH = ([[INSERT INTO _collegedb_entries SELECT ?1, ?2, ?3 WHERE %s
  ON CONFLICT DO UPDATE SET shard = ?2, version = ?3 WHERE version < ?3]]):format(TAKES_ROWS)
local PUBLISH_HOME = "UPDATE _collegedb_entries SET shard = ?2, version = ?3 WHERE digest = ?1 AND version < ?3 AND "
  .. TAKES_ROWS

--- Writes where the keys of a move live now, unless a later move has: `number` is the entry's version.
---@param keyspace string with its tag
---@param texts string[]
---@param digests string? theirs
---@param home boolean? the shard is their home: then no entry is made, and only those that are there change
function Directory:publish(keyspace, texts, id, number, digests, home)
  digests = digests or self:digests(keyspace, texts)
  self.shard:transaction(function(tx) core.run_each(tx, home and PUBLISH_HOME or PUBLISH, digests, id, number) end)
end

--- The same for keys of several moves.
---@param list { keyspace: string, text: string, id: integer, version: integer }[] keyspaces with their tag
function Directory:publish_all(list)
  self.shard:transaction(function(tx)
    for _, each in ipairs(list) do
      tx:run(PUBLISH, { core.blob(core.digest(each.keyspace, each.text, self.secret)), each.id, each.version })
    end
  end)
end

--- Removes the key's entry, and has the shard that it named probed again.
---@return boolean removed false if there was none
function Directory:forget(keyspace, text)
  local digest = core.blob(core.digest(keyspace, text, self.secret))
  return self:change(function(tx)
    local row = tx:first("SELECT shard FROM _collegedb_entries WHERE digest = ?", { digest })
    if not row then return false end
    tx:run("DELETE FROM _collegedb_entries WHERE digest = ?", { digest })
    tx:run("UPDATE _collegedb_shards SET integrated = 0 WHERE id = ?", { row.shard })
    return true
  end)
end

--- Inside a change that makes the next epoch: the entries that were found in the
-- existing data of a shard (version 0) end; claimed ones (1 and more) stay. Without an id all entries end.
---@return integer count
function Directory.void(_, tx, id)
  if not id then return tx:run("DELETE FROM _collegedb_entries").meta.changes end
  return tx:run("DELETE FROM _collegedb_entries WHERE shard = ? AND version = 0", { id }).meta.changes
end

--- Inside a change: all entries of a shard end.
function Directory.drop(_, tx, id) tx:run("DELETE FROM _collegedb_entries WHERE shard = ?", { id }) end

--- Ends the entries found in a shard's data, or all entries; the shards are probed again.
---@param id integer? the shard's
---@return integer count
function Directory:discard(id)
  local count
  self:change(function(tx)
    count = self:void(tx, id)
    if not id and count == 0 then return false end
    tx:run("UPDATE _collegedb_shards SET integrated = 0, conflicts = 0 WHERE id = coalesce(?, id)", { id or core.null })
    return true
  end)
  return count
end

--- Entries by shard id.
---@param tx userdata? of change
---@return table<integer, integer>
function Directory:counts(tx)
  local counts = {}
  for row in (tx or self.shard):each "SELECT shard, count(*) AS n FROM _collegedb_entries GROUP BY shard" do
    if math.type(row.shard) ~= "integer" then record_check.damaged(self, "_collegedb_entries") end
    counts[row.shard] = row.n
  end
  return counts
end

--- How many entries discard(id) would end.
function Directory:count_found(id)
  return self.shard:first("SELECT count(*) AS n FROM _collegedb_entries WHERE shard = ? AND version = 0", { id }).n
end

-- Names without a record stand among the counters: a record made here would let a
-- config bring a shard with rows in while programs are open that do not have it.
local KNOWN = "known:"

--- The names of shards that have no record, sorted.
---@return string[]
function Directory:names(tx)
  local names = {}
  for row in (tx or self.shard):each("SELECT substr(name, ?2) AS name FROM _collegedb_counters WHERE "
    .. "substr(name, 1, ?2 - 1) = ?1 AND substr(name, ?2) NOT IN (SELECT name FROM _collegedb_shards) ORDER BY name",
    { KNOWN, #KNOWN + 1 }) do
    names[#names + 1] = row.name
  end
  return names
end

--- Makes names known.
---@param names string[]
---@param tx userdata? of change
function Directory:add_names(names, tx)
  for _, name in ipairs(names) do
    (tx or self.shard):run("INSERT INTO _collegedb_counters SELECT ?1 || ?2, 1 WHERE ?2 NOT IN "
      .. "(SELECT name FROM _collegedb_shards) ON CONFLICT DO NOTHING", { KNOWN, name })
  end
end

--- Makes these the known names, beside those with a record.
function Directory:set_names(names, tx)
  (tx or self.shard):run("DELETE FROM _collegedb_counters WHERE substr(name, 1, ?2) = ?1", { KNOWN, #KNOWN })
  self:add_names(names, tx)
end

--- Is a shard of this name registered?
function Directory:knows(name)
  return self.shard:first("SELECT 1 AS yes FROM _collegedb_shards WHERE name = ?", { name }) ~= nil
end

--- The name of the shard with this id, or nil.
function Directory:name_of(id)
  local row = self.shard:first("SELECT name FROM _collegedb_shards WHERE id = ?", { id })
  return row and row.name
end

function Directory:epoch()
  return self.shard:first("SELECT value FROM _collegedb_counters WHERE name = 'epoch'").value
end

--- Adds `n` to a counter and returns what it was before; 0 only reads it.
---@param name string
---@param n integer
---@param tx userdata? a transaction on the directory, of which it is to be a part
---@return integer
function Directory:count_on(name, n, tx)
  if n == 0 then
    local row = self.inner:first("SELECT value FROM _collegedb_counters WHERE name = ?", { "turn:" .. name })
    return row and row.value or 0
  end
  return (tx or self.shard):first([[INSERT INTO _collegedb_counters VALUES (?1, ?2)
    ON CONFLICT DO UPDATE SET value = value + ?2 RETURNING value]], { "turn:" .. name, n }).value - n
end

--- For the allocation of one new key: an object with take(name) → the next turn,
-- claim(keyspace, text, id, epoch) → the id that stands, or nil to decide again,
-- and __close. Turns that no claim follows are not spent.
function Directory:turns() return turns.new(self) end

--- Runs `f(tx)` and `after(tx)` in one transaction that makes the next epoch, if f returns true.
---@param f fun(tx: userdata): boolean
---@param after fun(tx: userdata?)?
---@return boolean changed what f returned
function Directory:change(f, after)
  return self.shard:transaction(function(tx)
    local changed = f(tx)
    if after then after(tx) end
    if changed then tx:run "UPDATE _collegedb_counters SET value = value + 1 WHERE name = 'epoch'" end
    return changed
  end)
end

--- What the rules have said of conflicts in the journal.
---@param job integer
---@param verdicts { [1]: integer, [2]: "keep"|"error" }[] id of the conflict
---@param judged integer[] conflicts that need not be shown
function Directory:note_verdicts(job, verdicts, judged)
  self.shard:transaction(function(tx)
    for _, each in ipairs(verdicts) do
      tx:run([[UPDATE _collegedb_takes SET resolved = resolved + ?1 WHERE job = ?2
        AND item = (SELECT item FROM _collegedb_conflicts WHERE id = ?3)]], { each[2] == "keep", job, each[1] })
      tx:run("UPDATE _collegedb_conflicts SET verdict = ? WHERE id = ?", { each[2], each[1] })
    end
    for _, id in ipairs(judged) do tx:run("DELETE FROM _collegedb_conflicts WHERE id = ?", { id }) end
  end)
end

--- What takes one key column's keys into the directory: src/bind/takeover.c.
---@param plan table see lua/collegedb/integration.lua
---@return userdata takeover with step() → more, stalled, idle; counts(); conflicts(most), those of the last step
function Directory:takeover(plan)
  plan.directory, plan.secret = self.shard, self.secret
  return core.takeover(plan)
end

return directory
