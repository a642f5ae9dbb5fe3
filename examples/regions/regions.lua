-- Rows near to those who use them. Here the shards are files in one folder; in earnest they are D1 databases, each made
-- with the location hint that stands here as its region: collegedb.d1 { … } in the place of the path.
--
--   collegedb examples/regions/regions.lua [FOLDER]     its files are made in FOLDER, or here

local collegedb = require "collegedb"

local here = arg[0]:match "^(.*)/[^/]*$" or "."
local folder = arg[1] or "."

local db <close> = collegedb.open {
  kv = folder .. "/directory.db",
  shards = {
    { name = "paris", folder .. "/paris.db", region = "weur", priority = 1 },
    { name = "madrid", folder .. "/madrid.db", region = "weur" }, -- takes over when paris is full: max_size
    { name = "virginia", folder .. "/virginia.db", region = "enam" },
    { name = "tokyo", folder .. "/tokyo.db", region = "apac" },
  },
  strategy = "by_country",
  script_dirs = { here },
  target_region = "enam", -- where this program runs: for keys that say no country
}
db:ensure_schema "CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY)"

for _, id in ipairs { "de:1017", "fr:20", "pl:3", "us:4", "jp:5", "au:6", "ke:7", "somebody" } do
  db:insert(id, "INSERT OR IGNORE INTO customers VALUES (?)", { id })
  print(("%-9s %s"):format(id, (db:locate(id))))
end
