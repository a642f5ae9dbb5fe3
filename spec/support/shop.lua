-- The set-up that the examples of the commands are about: a config, and two shards with rows that are to be taken over.

local process = require "spec.support.process"

local shop = {}

local SCHEMA <const> = [[
  CREATE TABLE customers (email TEXT PRIMARY KEY, name TEXT);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT REFERENCES customers ON DELETE CASCADE, item TEXT);
  CREATE INDEX orders_customer ON orders (customer);
  WITH RECURSIVE n(i) AS (SELECT FIRST UNION ALL SELECT i + 1 FROM n WHERE i < LAST)
    INSERT INTO customers SELECT CASE i WHEN 17 THEN 'ada' ELSE 'c' || i END || '@example.com', 'Customer ' || i FROM n;
  INSERT INTO orders SELECT substr(name, 10), email, 'a lamp' FROM customers;]]

local CONFIG <const> = [[
return {
  kv = "directory.db",
  shards = { { name = "east", "east.db" }, { name = "west", "west.db" } },%s
}
]]

local function fill(folder, name, first, last)
  local script = SCHEMA:gsub("FIRST", tostring(first)):gsub("LAST", tostring(last))
  local result = process.run({ "sqlite3", "-bail", name .. ".db", script }, { folder = folder })
  assert(result.status == 0, result.stderr)
end

---Writes it to a folder.
---@param rows integer? on each shard (30); ada@example.com, with order 17, is on east
---@param more string? further fields of the config
function shop.make(folder, rows, more)
  rows = rows or 30
  process.write(folder .. "/collegedb.lua", CONFIG:format(more or ""))
  fill(folder, "east", 1, rows)
  fill(folder, "west", rows + 1, 2 * rows)
end

---Leaves a move of ada@example.com whose program has died before its commit.
function shop.move_half_way(folder)
  process.write(folder .. "/die.lua", [[
    local db = require("collegedb").open(dofile "collegedb.lua")
    require("collegedb.workflows.move").run(require("collegedb.core").state(db), {
      keyspace = "", keys = { "ada@example.com" }, source = 1, target = 2, on_step = function(step)
        if step == "copy" then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
      end })]])
  local result = process.run({ process.collegedb, "./die.lua" }, { folder = folder })
  assert(result.status == 137, result.stderr)
end

return shop
