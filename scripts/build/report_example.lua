-- Makes the picture of a report in the docs: build/collegedb scripts/build/report_example.lua [FOLDER]
--
-- A shop on five shards, of which the last came late; three programs work on it at once, and copies that somebody made
-- by hand have doubled some keys. Leaves FOLDER/report.html (build/report-example) and docs/report-example.png, which
-- takes Chromium.

local collegedb = require "collegedb"
local core = require "collegedb.core"

local folder = arg[1] or "build/report-example"
local role = arg[2]

local CUSTOMERS <const>, SECONDS <const> = 30000, 4

local places = {
  { name = "fra-1", region = "weur", weight = 2 }, { name = "fra-2", region = "weur" },
  { name = "iad-1", region = "enam" }, { name = "iad-2", region = "enam" }, { name = "sin-1", region = "apac" },
}

local function config(count)
  local shards = {}
  for i = 1, count do
    local place = places[i]
    shards[i] = { name = place.name, ("%s/%s.db"):format(folder, place.name), region = place.region,
      weight = place.weight, synchronous = "normal" }
  end
  return { kv = folder .. "/directory.db", shards = shards, statistics_dir = folder, slow_query = 0.01 }
end

local function key_of(i) return ("C-%06d"):format(i * 7919 % 1000003) end

-- --- what programs do ---------------------------------------------------------------------------

local tasks = {
  function(db, key) db:first(key, "SELECT * FROM customers WHERE id = ?", { key }) end,
  function(db, key) db:all(key, "SELECT * FROM orders WHERE customer = ? ORDER BY id", { key }) end,
  function(db, key)
    local order = ("O-%016x"):format(core.random())
    db:insert(key, "INSERT INTO orders VALUES (?, ?, ?)", { order, key, math.random(5, 500) })
  end,
  function(db, key) db:run(key, "UPDATE customers SET seen = unixepoch() WHERE id = ?", { key }) end,
}

local function work()
  local db <close> = collegedb.open(config(#places))
  local ends = core.now() + SECONDS * 1000
  local n = 0
  repeat
    n = n + 1
    local key = key_of(math.floor(math.random() ^ 5 * CUSTOMERS))
    local kind = n % 20 == 0 and 3 or n % 9 == 0 and 4 or n % 3 == 0 and 2 or 1
    pcall(tasks[kind], db, key)
    if n % 400 == 0 then
      local new = ("C-%08d"):format(math.random(0, 99999999))
      db:insert(new, "INSERT OR IGNORE INTO customers VALUES (?, 'A new one', 0)", { new })
    end
    if n % 997 == 0 then pcall(db.insert, db, key, "INSERT INTO customers VALUES (?, 'again', 0)", { key }) end
  until core.now() > ends
  db:statistics { all = true }
  io.read "l"
end

-- --- the shop -------------------------------------------------------------------------------------

local SCHEMA <const> = [[
  CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, seen INTEGER);
  CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT REFERENCES customers ON DELETE CASCADE, total INTEGER);
  CREATE INDEX orders_customer ON orders (customer);
]]

local function fill()
  local db <close> = collegedb.open(config(#places - 1))
  db:ensure_schema(SCHEMA)
  local by_shard = {}
  for i = 1, CUSTOMERS do
    local key = key_of(i)
    local shard = db:locate(key, "customers") or places[1].name
    by_shard[shard] = by_shard[shard] or {}
    table.insert(by_shard[shard], ("('%s', 'Customer %d', 0)"):format(key, i))
  end
  for shard, rows in pairs(by_shard) do
    for i = 1, #rows, 500 do
      db:shard(shard):run("INSERT INTO customers VALUES " .. table.concat(rows, ",", i, math.min(i + 499, #rows)))
    end
  end
end

local function double(db)
  for i = 1, 18 do
    local key = key_of(i * 31)
    local other = db:locate(key, "customers") == "iad-2" and "fra-2" or "iad-2"
    db:shard(other):run("INSERT OR IGNORE INTO customers VALUES (?, 'a copy', 0)", { key })
  end
end

local function run(...) return assert(io.popen(table.concat({ ... }, " "), "w")) end

local function main()
  os.execute(("rm -rf %s && mkdir -p %s"):format(folder, folder))
  fill()
  collegedb.open(config(#places)):close() -- the last shard comes
  local programs = {}
  for i = 1, 3 do programs[i] = run(arg[-1], arg[0], folder, "work") end
  os.execute("sleep " .. SECONDS + 1)
  local db = collegedb.open(config(#places))
  double(db)
  db:close()
  local data = require("collegedb.report").collect(config(#places), { config = "/srv/shop/collegedb.lua" })
  data.directory.name = "/srv/shop/directory.db"
  local html = require("collegedb.report_page").html(data)
  require("collegedb.report_file").write(folder .. "/report.html", html)
  for _, program in ipairs(programs) do program:close() end
  os.execute(("node spec/engine/picture.mjs %s/report.html docs/report-example.png"):format(folder))
end

if role == "work" then work() else main() end
