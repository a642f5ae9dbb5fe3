-- What was there before CollegeDB came: two shops, each with a SQLite file of its own. Both number their orders from 1.

local collegedb = require "collegedb"

local shops = {}

local schema = [[
  CREATE TABLE customers (email TEXT PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, item TEXT NOT NULL);
]]

local first_names = { "Ada", "Ben", "Cleo", "Dora", "Emil", "Finn", "Greta", "Hugo", "Ines", "Jan" }
local last_names = { "Abel", "Berg", "Cole", "Dahl", "Egger", "Frey", "Gray" }

---One of the list, round and round.
local function pick(list, n) return list[(n - 1) % #list + 1] end

---The n-th customer (of 70 different ones): an e-mail address, and a name.
function shops.customer(n, domain)
  local first, last = pick(first_names, n), pick(last_names, n)
  return ("%s.%s@%s"):format(first:lower(), last:lower(), domain), first .. " " .. last
end

---Makes the file of one shop.
---@param shop { path: string, domain: string, customers: integer, orders: integer, items: string[] }
function shops.build(shop)
  -- With one shard, and its notes in memory, CollegeDB is a plain SQLite library. journal_mode is SQLite's own
  -- default here, as most existing files have it.
  local db <close> = collegedb.open {
    kv = "memory:",
    shards = { { name = "shop", shop.path, journal_mode = "delete" } },
  }
  local file = db:shard "shop"
  file:exec(schema)
  file:transaction(function(tx)
    for n = 1, shop.customers do
      tx:run("INSERT INTO customers VALUES (?, ?)", { shops.customer(n, shop.domain) })
    end
    for id = 1, shop.orders do
      local buyer = shops.customer((id - 1) % shop.customers + 1, shop.domain)
      tx:run("INSERT INTO orders VALUES (?, ?, ?)", { id, buyer, pick(shop.items, id) })
    end
  end)
end

return shops
