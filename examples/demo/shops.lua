-- What was there before CollegeDB came: two shops, each with a SQLite file of its own. Both number their orders from 1.

local collegedb = require "collegedb"

local shops = {}

local schema = [[
  CREATE TABLE customers (email TEXT PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, item TEXT NOT NULL);
]]

local first_names = { "Ada", "Ben", "Cleo", "Dora", "Emil", "Finn", "Greta", "Hugo", "Ines", "Jan" }
local items = { "a lamp", "two chairs", "a kettle", "a blanket", "a bread knife" }

---The n-th customer: an e-mail address, and a name.
function shops.customer(n, domain)
  local name = first_names[(n - 1) % #first_names + 1]
  return ("%s%d@%s"):format(name:lower(), n, domain), ("%s No. %d"):format(name, n)
end

---Makes the file of one shop.
function shops.build(path, domain, customers, orders)
  -- With one shard and the directory in memory, CollegeDB is a plain SQLite library. journal_mode is SQLite's own
  -- default here, as most existing files have it.
  local db <close> = collegedb.open { kv = "memory:", shards = { { name = "shop", path, journal_mode = "delete" } } }
  local shop = db:shard "shop"
  shop:exec(schema)
  shop:transaction(function(tx)
    for n = 1, customers do tx:run("INSERT INTO customers VALUES (?, ?)", { shops.customer(n, domain) }) end
    for id = 1, orders do
      local buyer = shops.customer((id - 1) % customers + 1, domain)
      tx:run("INSERT INTO orders VALUES (?, ?, ?)", { id, buyer, items[(id - 1) % #items + 1] })
    end
  end)
end

return shops
