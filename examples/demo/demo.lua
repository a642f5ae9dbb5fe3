-- Two shops become one: what `make demo` runs. From anywhere:
--
--   build/collegedb examples/demo/demo.lua        or, after eval "$(make env)":    lua5.4 examples/demo/demo.lua
--
-- Everything it makes lies in examples/demo/data, rebuilt at each run and left there to look at.

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local collegedb = require "collegedb"
local shops = require "shops"

local data = here .. "/data"
local insert_customer <const> = "INSERT INTO customers (email, name) VALUES (?, ?)"

-- --- helpers: a clean start, and a picture ---------------------------------------------------------------

local function start_clean()
  assert(os.execute(("mkdir -p '%s'"):format(data)))
  for _, name in ipairs { "east.db", "west.db", "new.db", "directory.db" } do
    for _, ending in ipairs { "", "-wal", "-shm", "-journal", "-users" } do os.remove(data .. "/" .. name .. ending) end
  end
end

local function say(...) print((...):format(select(2, ...))) end

local function title(text) say("\n%s\n", text) end

---One bar a shard: the rows that were there before, and behind them the rows that came since.
local function picture(db, before)
  local _, now = db:count "customers"
  for _, shard in ipairs(db:list_known_shards()) do
    local old = before[shard] or 0
    local new = now[shard] - old
    say("   %-5s %s%s %d + %d new", shard, ("█"):rep(old // 2), ("░"):rep(new // 2), old, new)
  end
end

-- --- what was there before --------------------------------------------------------------------------------

start_clean()
shops.build(data .. "/east.db", "east.example", 40, 30)
shops.build(data .. "/west.db", "west.example", 24, 20)

print [[
Two shops, each with a SQLite file of its own:

   east.db   40 customers, known by their e-mail    30 orders, numbered 1 to 30
   west.db   24 customers                           20 orders, numbered 1 to 20]]

-- --- 1 ----------------------------------------------------------------------------------------------------

title "1. Open both as one database, and put a third, empty file beside them"

local config = {
  kv = data .. "/directory.db", -- CollegeDB's notes: which keys are where
  shards = {
    { name = "east", data .. "/east.db" },
    { name = "west", data .. "/west.db" },
    { name = "new", data .. "/new.db" },
  },
}
local db = collegedb.open(config)
db:create_schema "new" -- the same tables as the others have

-- The same call for every customer; which file it goes to is not our business any more.
for _, email in ipairs { "ada1@east.example", "cleo3@west.example" } do
  local customer = db:first(email, "SELECT name FROM customers WHERE email = ?", { email })
  say("   db:first(%q, …)  found %s, in %s.db", email, customer.name, db:locate(email))
end
print "   No row was copied or changed: each stays in the file where it was."

-- --- 2 ----------------------------------------------------------------------------------------------------

title "2. Add 60 customers: each goes to the shard that the hash of its key names"

local _, before = db:count "customers"
for n = 1, 60 do
  local email, name = shops.customer(n, "new.example")
  db:insert(email, insert_customer, { email, name })
end
picture(db, before)

-- --- 3 ----------------------------------------------------------------------------------------------------

title "3. Both shops have an order 7. Which one is meant?"

local order_7 <const> = "SELECT customer, item FROM orders WHERE id = 7"
local report = db:integration_report "west" -- what CollegeDB found when it first opened west.db
say("   %d conflicts were reported, order %d the first: it is on %s and on %s.", report.conflict_count,
  report.conflicts[1].key, report.conflicts[1].other_shard, report.conflicts[1].shard)
say("   Nothing was overwritten. The first shard stands, so order 7 is that of %s.", db:first(7, order_7).customer)
db:close()

-- The way out: these shards get a keyspace each, and an order is asked for together with it.
config.shards[1].keyspace = "east"
config.shards[2].keyspace = "west"
db = collegedb.open(config)

say "   Now with keyspace = \"east\" and keyspace = \"west\" in the config:"
for _, shop in ipairs { "east", "west" } do
  local order = db:first(db:key("orders", 7, shop), order_7)
  say("   db:key(\"orders\", 7, %q)  is %s for %s", shop, order.item, order.customer)
end
say("   Conflicts left: %d", db:integration_report("west").conflict_count)
db:close()

-- --- 4 ----------------------------------------------------------------------------------------------------

title "4. A strategy of your own, ten lines in strategies/by_company.lua"

config.strategy = "by_company" -- a file of this name …
config.script_dirs = { here } -- … in the folder strategies of one of these
db = collegedb.open(config)

for n = 1, 30 do
  local email, name = shops.customer(n, ({ "acme.example", "bolt.example", "cord.example" })[n % 3 + 1])
  db:insert(email, insert_customer, { email, name })
end
for _, company in ipairs { "acme", "bolt", "cord" } do
  local places = {}
  for shard, result in pairs(db:run_all_shards("SELECT count(*) AS n FROM customers WHERE email LIKE ?",
    { "%@" .. company .. ".example" })) do
    local n = result.results[1].n
    if n > 0 then places[#places + 1] = ("%d in %s.db"):format(n, shard) end
  end
  say("   people of %s:  %s", company, table.concat(places, ", "))
end
say "   Customers from before stay where they are, and are found:"
say("   ada1@new.example is in %s.db", db:locate "ada1@new.example")
db:close()

say([[

Next
   %s/            the files of this run; any SQLite tool opens them
   %s/demo.lua    this program: steps 1 and 2 are all that most programs need
   README.md                     the same with your own databases]], data, here)
