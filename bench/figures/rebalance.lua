-- Half of the rows of one file go to another, while programs may run: in moves of some thousand keys, against `ATTACH;
-- INSERT … SELECT; DELETE` in one transaction on files like these, synchronous = FULL on both sides. Once each row is a
-- group of its own, and once a user has nine orders.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"
local move = require "collegedb.workflows.move"

local KEYS_A_MOVE <const> = 5000

local ORDERS <const> = [[CREATE TABLE orders (id INTEGER PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE, what TEXT NOT NULL, price REAL NOT NULL);
  CREATE INDEX orders_user ON orders (user_id);]]
local HALF <const> = "(SELECT id FROM main.users WHERE rowid % 2 = 1)"

local function remove(path)
  for _, tail in ipairs { "", "-wal", "-shm", "-users" } do os.remove(path .. tail) end
end

-- A file with `count` users, or none, and their orders.
local function create(path, count, orders)
  remove(path)
  fixture.create(path, count)
  if orders == 0 then return path end
  local connection = floor.open(path, "OFF")
  floor.exec(connection, ORDERS)
  floor.exec(connection, ([[INSERT INTO orders (user_id, what, price) WITH RECURSIVE n (i) AS
    (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT u.id, 'What was ordered here', i * 0.5
    FROM users AS u, n ORDER BY i, u.id]]):format(orders))
  floor.exec(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
  floor.close(connection)
  return path
end

local function base(source, target, orders)
  local connection = floor.open(source, "FULL")
  local tables = orders == 0 and { { "users", "id" } } or { { "users", "id" }, { "orders", "user_id" } }
  floor.exec(connection, ("ATTACH '%s' AS other; PRAGMA other.synchronous = FULL"):format(target))
  local start = floor.now()
  floor.exec(connection, "BEGIN IMMEDIATE")
  for _, each in ipairs(tables) do
    floor.exec(connection, ("INSERT INTO other.%s SELECT * FROM main.%s WHERE %s IN %s"):format(each[1], each[1],
      each[2], HALF))
  end
  for i = #tables, 1, -1 do
    floor.exec(connection, ("DELETE FROM main.%s WHERE %s IN %s"):format(tables[i][1], tables[i][2], HALF))
  end
  floor.exec(connection, "COMMIT")
  local seconds = floor.now() - start
  floor.close(connection)
  return seconds
end

local function ours(ctx, source, target)
  local directory = ctx.tmp .. "/rebalance-directory.db"
  remove(directory)
  local db <close> = collegedb.open { kv = directory, auto_migrate = false,
    shards = { { name = "a", source }, { name = "b", target } } }
  local state, keys, rows = core.state(db), {}, 0
  for row in db:shard("a"):each "SELECT id FROM users WHERE rowid % 2 = 1 ORDER BY rowid" do
    keys[#keys + 1] = row.id
  end
  local start = floor.now()
  for from = 1, #keys, KEYS_A_MOVE do
    rows = rows + move.run(state, { keyspace = "", source = 1, target = 2,
      keys = table.move(keys, from, math.min(from + KEYS_A_MOVE - 1, #keys), 1, {}) }).rows
  end
  return floor.now() - start, rows
end

-- Rows a second of both, on files made anew each time.
local function round(ctx, rows, orders)
  local path, target = ctx.tmp .. "/rebalance-a.db", ctx.tmp .. "/rebalance-b.db"
  create(path, 2 * rows // (orders + 1), orders)
  create(target, 0, orders)
  local floor_rate = rows / base(path, target, orders)
  create(path, 2 * rows // (orders + 1), orders)
  create(target, 0, orders)
  local seconds, moved = ours(ctx, path, target)
  assert(moved == rows, ("%d rows were moved, not %d"):format(moved, rows))
  remove(path)
  remove(target)
  return rows / seconds, floor_rate
end

local WHY <const> = "A key has a row in the fence of both shards, by which writers are told where it is, and an "
  .. "entry in the directory: about ten changes in B-trees for a group, beside those for its rows. Groups of more "
  .. "rows share them."

local function row(ctx, what, orders)
  local rows, rates, floors, ratios = ctx.quick and 50000 or 150000, {}, {}, {}
  for i = 1, ctx.quick and 2 or 5 do
    rates[i], floors[i] = round(ctx, rows, orders)
    ratios[i] = rates[i] / floors[i]
  end
  local ratio = measure.median(ratios)
  return {
    what = ("moving %s rows between two files, %s"):format(measure.rate(rows), what), met = ratio >= 0.3, why = WHY,
    reach = "≥ 0.3 of `ATTACH; INSERT … SELECT; DELETE`",
    measured = ("%.2f (%s rows/s, floor %s rows/s)"):format(ratio, measure.rate(measure.median(rates)),
      measure.rate(measure.median(floors))),
  }
end

local function run(ctx)
  return { row(ctx, "groups of ten rows", 9), row(ctx, "each row a group of its own", 0) }
end

return { run = run }
