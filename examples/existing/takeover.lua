-- Two files that a program has used for years become one database: first a look, which writes nothing, then a dry run,
-- then the takeover. Nothing in the files is changed; a note of which keys are where goes to directory.db.
--
--   collegedb examples/existing/takeover.lua [FOLDER]     the files are made in FOLDER, or here, if they are not there

local collegedb = require "collegedb"

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/../demo/?.lua;" .. package.path
local shops = require "shops" -- makes a file as an existing program would have left it

local folder = arg[1] or "."
local files = { east = folder .. "/east.db", west = folder .. "/west.db" }
for name, path in pairs(files) do
  if not pcall(collegedb.list_tables, path) then
    shops.build { path = path, domain = name .. ".example", customers = 20, orders = 10, items = { "a lamp" } }
  end
end

-- 1. What would be the key of each table, and does anything stand in the way?
for _, name in ipairs { "east", "west" } do
  for _, table_name in ipairs(collegedb.list_tables(files[name])) do
    local found = collegedb.validate_table_for_sharding(files[name], table_name)
    print(("%s.%s: key %s, %d rows, %s"):format(name, table_name, found.primary_key_column, found.record_count,
      found.is_valid and "fine" or table.concat(found.issues, "; ")))
  end
end

-- 2. Both files number their orders from 1. With a keyspace each, order 7 of the one is not order 7 of the other.
local db <close> = collegedb.open {
  kv = folder .. "/directory.db",
  shards = {
    { name = "east", files.east, keyspace = "east" },
    { name = "west", files.west, keyspace = "west" },
  },
  auto_migrate = false, -- by hand here; without this line it happens in the background
}

-- 3. What would be done, and doing it. What is interrupted goes on with { resume = true }.
for _, name in ipairs(db:list_known_shards()) do
  local plan = db:integrate(name, { dry_run = true })
  print(("%s: %d rows, %d conflicts"):format(name, plan.total_records, plan.conflict_count))
  local report = db:integrate(name, { resume = true })
  if not report.success then
    print(table.concat(report.issues, "\n"))
    os.exit(3, true)
  end
end

-- 4. From here on no program needs to know which file it is.
local email = "cleo.cole@west.example"
print(email, db:first(email, "SELECT name FROM customers WHERE email = ?", { email }).name, (db:locate(email)))
local order = db:key("orders", 7, "west")
print(order, db:first(order, "SELECT customer FROM orders WHERE id = 7").customer)
print(db:verify().success and "every row is found where it is looked for" or "see collegedb verify")
