--- What verify has seen: digests, in a temporary table of a connection of its own. SQLite keeps that in a file without
-- a name (in SQLITE_TMPDIR, TMPDIR or /var/tmp), which ends with the process, however that ends; memory stays small.

local core = require "collegedb.core"

local seen_keys = {}

local Seen = {}
Seen.__index = Seen

local SCHEMA <const> = [[PRAGMA temp_store = FILE;
CREATE TEMP TABLE seen (
  digest BLOB PRIMARY KEY, shard INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;]]

function seen_keys.open()
  local shard = core.sqlite(":memory:", { name = "what verify has seen" })
  shard:exec(SCHEMA)
  -- The transaction is never committed: what is not kept needs that not.
  return setmetatable({ shard = shard, tx = core.begin(shard) }, Seen)
end

--- Notes a key on a shard.
---@return boolean new
function Seen:note(digest, index)
  return self.tx:run("INSERT OR IGNORE INTO seen (digest, shard) VALUES (?, ?)",
    { core.blob(digest), index }).meta.changes == 1
end

--- The shard that a key was noted on first, or nil.
function Seen:shard_of(digest)
  local row = self.tx:first("SELECT shard FROM seen WHERE digest = ?", { core.blob(digest) })
  return row and row.shard
end

--- Is this the first time that something is told of the key?
function Seen:tell(digest)
  return self.tx:run("UPDATE seen SET told = 1 WHERE digest = ? AND told = 0",
    { core.blob(digest) }).meta.changes == 1
end

function Seen:close()
  core.rollback(self.tx)
  core.close(self.shard)
end

Seen.__close = Seen.close

return seen_keys
