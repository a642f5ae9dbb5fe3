--- What a directory in SQL was made with, and what has to stay so: its format, mapping_secret, and keyspaces.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local record_check = require "collegedb.record_check"

local settings = {}

settings.FORMAT = 1

local READ <const> = "SELECT value FROM _collegedb_counters WHERE name = ?"

--- Raises CONFIG for a directory of another version, and CORRUPT for one that is damaged.
function settings.check_format(self)
  local row = self.shard:first(READ, { "format" })
  if row and row.value == settings.FORMAT then return record_check.run(self) end
  errors.raise("CONFIG", { field = "kv" },
    "kv %s was written by another version of CollegeDB (its format is %s, this one's %d)", self.path,
    row and row.value or "unknown", settings.FORMAT)
end

--- Under another secret every digest is another, and no entry would be found.
function settings.check_secret(self)
  if not self.shard:first(READ, { "secret" }) then
    self.shard:run("INSERT INTO _collegedb_counters VALUES ('secret', ?) ON CONFLICT DO NOTHING",
      { settings.mark(self) })
  end
  settings.check_mark(self, self.shard:first(READ, { "secret" }).value)
end

--- A number made of a digest tells the secret, without telling it.
function settings.mark(self) return (string.unpack("<i8", core.digest("", "collegedb", self.secret))) end

--- Raises CONFIG when that is another one.
function settings.check_mark(self, value)
  if value == settings.mark(self) then return end
  errors.raise("CONFIG", { field = "mapping_secret" },
    "mapping_secret is not the one that the directory %s was made with", self.path)
end

local ADD_BARE <const> = "INSERT INTO _collegedb_counters VALUES ('bare', ?) ON CONFLICT DO NOTHING"

local function check_bare(self, bare)
  local row = self.shard:first(READ, { "bare" })
  if ((row and row.value or 0) == 1) == bare then return end
  errors.raise("CONFIG", { field = "keyspaces" }, "keyspaces is not what the directory %s was made with", self.path)
end

--- Raises CONFIG when `keyspaces` is not what the directory was made with: integer keys have other digests then. One of
-- an earlier version has them.
---@param run fun(sql: string, params: table)
---@param bare boolean without keyspaces
function settings.check_keyspaces(self, run, bare)
  local new = not self.shard:first(READ, { "bare" }) and not self.shard:first "SELECT 1 FROM _collegedb_shards LIMIT 1"
  if new then run(ADD_BARE, { bare and 1 or 0 }) end
  check_bare(self, bare)
end

--- All of it, of a directory that is only looked at: what it does not have yet is right.
function settings.check_seen(self, bare)
  settings.check_format(self)
  local row = self.shard:first(READ, { "secret" })
  if row then settings.check_mark(self, row.value) end
  if self.shard:first "SELECT 1 FROM _collegedb_shards LIMIT 1" then check_bare(self, bare) end
end

--- All of it, of a directory whose record is mirrored (lua/collegedb/single_directory.lua); it then gets its identity.
function settings.check_single(self, bare)
  local function run(sql, params)
    self.store:run(sql, params)
    self.record.version, self.record.seen = nil, false
  end
  if not self.shard:first(READ, { "secret" }) then
    run("INSERT INTO _collegedb_counters VALUES ('version', 0), ('identity', ?), ('secret', ?) ON CONFLICT DO NOTHING",
      { core.random(), settings.mark(self) })
  end
  settings.check_format(self)
  settings.check_mark(self, self.shard:first(READ, { "secret" }).value)
  settings.check_keyspaces(self, run, bare)
  self.identity = self.record.identity
end

return settings
