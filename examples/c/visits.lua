-- The script of lua_host.c: counts the visits of those who are named, in two files in the current directory.
local collegedb = require "collegedb"

local db <close> = collegedb.open { kv = "directory.db", shards = { east = "east.db", west = "west.db" } }
db:ensure_schema "CREATE TABLE IF NOT EXISTS visitors (name TEXT PRIMARY KEY, visits INTEGER NOT NULL)"

for _, name in ipairs { ... } do
  ---@diagnostic disable-next-line: undefined-global -- the C program gives it
  greet(name) -- luacheck: ignore greet
  db:insert(name, "INSERT INTO visitors VALUES (?, 1) ON CONFLICT DO UPDATE SET visits = visits + 1", { name })
  local row = assert(db:first(name, "SELECT visits FROM visitors WHERE name = ?", { name }))
  print(("%s was here %d times"):format(name, row.visits))
end
