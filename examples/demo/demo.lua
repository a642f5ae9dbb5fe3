-- Two shops become one: what `make demo` runs. Also, from any folder:
--
--   build/collegedb examples/demo/demo.lua        or, after eval "$(make env)",    lua5.4 examples/demo/demo.lua
--
-- Everything it makes lies in examples/demo/data, rebuilt at each run and left there to look at.

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local collegedb = require "collegedb"
local shops = require "shops"

local data = here .. "/data"

-- --- helpers: printing, a clean start, a picture ---------------------------------------------------------

local function say(...) print((...):format(select(2, ...))) end

local function title(text) say("\n%s\n", text) end

local function start_clean()
  assert(os.execute(("mkdir -p '%s'"):format(data)))
  for _, name in ipairs { "east.db", "west.db", "new.db", "directory.db" } do
    for _, ending in ipairs { "", "-wal", "-shm", "-journal", "-users" } do os.remove(data .. "/" .. name .. ending) end
  end
end

---One bar a shard: the customers that were there before, and behind them those that came since.
local function picture(db, before)
  local _, now = db:count "customers"
  for _, shard in ipairs(db:list_known_shards()) do
    local old, new = before[shard], now[shard] - before[shard]
    say("   %-5s %3d  %s%s", shard, old + new, ("█"):rep(old // 2), ("░"):rep(new // 2))
  end
  print "              █ there before   ░ added just now"
end

local function print_file(path)
  for line in io.lines(path) do print("   | " .. line) end
end

-- --- what was there before -------------------------------------------------------------------------------

start_clean()
shops.build { path = data .. "/east.db", domain = "east.example", customers = 40, orders = 30,
  items = { "a lamp", "two chairs", "a blanket", "a shelf" } }
shops.build { path = data .. "/west.db", domain = "west.example", customers = 24, orders = 20,
  items = { "a kettle", "six cups", "a bread knife", "a pan" } }

print [[
Two shops, each with a SQLite file of its own:

   east.db   40 customers, known by their e-mail   30 orders, numbered 1 to 30
   west.db   24 customers                          20 orders, numbered 1 to 20]]

-- --- 1 ---------------------------------------------------------------------------------------------------

title "1. Open both as one database, with a third, empty file beside them"

local config = {
  kv = data .. "/directory.db", -- CollegeDB's own notes: which keys are where
  shards = {
    { name = "east", data .. "/east.db" },
    { name = "west", data .. "/west.db" },
    { name = "new", data .. "/new.db" },
  },
}
local db = collegedb.open(config)
db:create_schema "new" -- the same tables as the others have

-- The same call for every customer; in which file the row lies is not our business any more.
for _, email in ipairs { "ada.abel@east.example", "cleo.cole@west.example" } do
  local customer = assert(db:first(email, "SELECT name FROM customers WHERE email = ?", { email }))
  say("   db:first(%q, …)  finds %s, in %s.db", email, customer.name, db:locate(email))
end
print "   No row was copied or changed: each stays in the file where it was."

-- --- 2 ---------------------------------------------------------------------------------------------------

title "2. Add 60 customers: the hash of its e-mail decides where each one goes"

local insert_customer <const> = "INSERT INTO customers (email, name) VALUES (?, ?)"
local _, before = db:count "customers"
for n = 1, 60 do
  local email, name = shops.customer(n, "web.example")
  db:insert(email, insert_customer, { email, name })
end
picture(db, before)

-- --- 3 ---------------------------------------------------------------------------------------------------

title "3. Both shops have an order 7. Which one is meant?"

local order_7 <const> = "SELECT customer, item FROM orders WHERE id = 7"
db:wait_integration() -- existing rows are taken over in the background
local report = assert(db:integration_report "west") -- what was found when west.db was opened for the first time
say("   %d order numbers of west are numbers of east too. This was reported, and nothing was overwritten:",
  report.conflict_count)
local order = assert(db:first(7, order_7))
say("   the first file stands, so order 7 is %s for %s.", order.item, order.customer)
db:close()

-- The way out: a keyspace for each of the two shards. An order is then asked for together with its keyspace.
config.shards[1].keyspace = "east"
config.shards[2].keyspace = "west"
db = collegedb.open(config)

print "\n   With keyspace = \"east\" and keyspace = \"west\" in the config both can be reached:"
for _, shop in ipairs { "east", "west" } do
  local its_own = assert(db:first(db:key("orders", 7, shop), order_7))
  say("   db:key(\"orders\", 7, %q)  is %s for %s", shop, its_own.item, its_own.customer)
end
db:wait_integration()
say("   Conflicts that are left: %d", db:integration_report("west").conflict_count)
db:close()

-- --- 4 ---------------------------------------------------------------------------------------------------

title "4. A strategy of your own: strategies/by_company.lua"

print_file(here .. "/strategies/by_company.lua")
config.strategy = "by_company" -- a file of this name …
config.script_dirs = { here } -- … in the folder `strategies` of one of these
db = collegedb.open(config)

local companies <const> = { "acme", "banner", "clover" }
for n = 1, 30 do
  local email, name = shops.customer(n, companies[n % #companies + 1] .. ".example")
  db:insert(email, insert_customer, { email, name })
end
print ""
for _, company in ipairs(companies) do
  local places = {}
  local count <const> = "SELECT count(*) AS n FROM customers WHERE email LIKE ?"
  for shard, result in pairs(db:run_all_shards(count, { "%@" .. company .. ".example" })) do
    local n = result.results[1].n
    if n > 0 then places[#places + 1] = ("%d in %s.db"):format(n, shard) end
  end
  say("   people of %-7s %s", company .. ":", table.concat(places, ", "))
end
say("   Who was there before stays: ada.abel@web.example is found in %s.db.", (db:locate "ada.abel@web.example"))
db:close()

title "What to look at next"

say("   %-27s the files of this run; any SQLite tool opens them", data .. "/")
say("   %-27s this program; steps 1 and 2 are all that most programs need", arg[0])
say("   %-27s ten lines that do the same with your own databases", "README.md")
