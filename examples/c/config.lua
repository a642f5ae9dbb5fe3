-- The config of host.c: two shards in the current directory. A config is a Lua program, so this one also sees to it
-- that every shard has its tables.
local collegedb = require "collegedb"

local config = {
  kv = "directory.db",
  shards = {
    { name = "db-east", "east.db" },
    { name = "db-west", "west.db" },
  },
}

local db <close> = collegedb.open(config)
db:ensure_schema [[
  CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT NOT NULL, age INTEGER, photo BLOB);
]]

return config
