-- Keys move while other processes, with views of their own, go on reading and writing them.

local fixture = require "spec.support.fixture"

local SHOP = [[
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
  n INTEGER);
CREATE INDEX IF NOT EXISTS orders_user ON orders (user_id);
CREATE TABLE IF NOT EXISTS items (order_id TEXT REFERENCES orders ON DELETE CASCADE, line INTEGER,
  PRIMARY KEY (order_id, line));]]

local NAMES = { "a", "b", "c" }
local KEYS <const> = 12

local CHILD = [[
  local number = tonumber(arg[1])
  math.randomseed(number)
  local config = { kv = folder .. "/directory.db", strategy = %q, shards = {},
    mapping_cache_ttl = number %% 2 == 0 and 100 or 0.05 }
  for i, name in ipairs { "a", "b", "c" } do config.shards[i] = { name = name, folder .. "/" .. name .. ".db" } end
  local db = collegedb.open(config)
  wait_for_go()
]]

local MOVER = CHILD .. [[
  local until_, moves = os.time() + 3, 0
  while os.time() < until_ do
    local key, name = "k" .. math.random(%d), ({ "a", "b", "c" })[math.random(3)]
    local ok, e = pcall(db.reassign_shard, db, key, name)
    assert(ok or e.code == "CONFLICT" or e.code == "MOVED" or e.code == "BUSY", tostring(e))
    if ok then moves = moves + 1 end
  end
  print(moves)
  db:close()]]

local WRITER = CHILD .. [[
  local until_, added, orders = os.time() + 3, {}, 0
  while os.time() < until_ do
    local key, dice = "k" .. math.random(%d), math.random(10)
    if dice <= 5 then
      local result = db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
      assert(result.meta.changes == 1, key .. " was not changed")
      added[key] = (added[key] or 0) + 1
    elseif dice <= 7 then
      orders = orders + 1
      local id = ("o%%d_%%d"):format(number, orders)
      db:insert(key, "INSERT INTO orders VALUES (?, ?, ?)", { id, key, number })
      db:insert(id, "INSERT INTO items VALUES (?, 1)", { id })
    elseif dice <= 8 then
      local ok, e = pcall(db.transaction, db, key, function(tx)
        local n = tx:first("SELECT n FROM users WHERE id = ?", { key }).n
        tx:run("UPDATE users SET n = ? WHERE id = ?", { n + 1, key })
      end)
      assert(ok or e.code == "MOVED", tostring(e))
      if ok then added[key] = (added[key] or 0) + 1 end
    else
      assert(db:first(key, "SELECT n FROM users WHERE id = ?", { key }), key .. " is not found")
    end
  end
  for key, n in pairs(added) do print(key, n) end
  print("orders", orders)
  db:close()]]

describe("while keys move", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "hash", "random" } do
    it("no write is lost and no row is doubled, under " .. strategy, function()
      local db = fixture.database(SHOP, { strategy = strategy }, NAMES)
      for i = 1, KEYS do db:insert("k" .. i, "INSERT INTO users VALUES (?, 0)", { "k" .. i }) end
      local pipes = {}
      for i = 1, 2 do pipes[i] = fixture.spawn(MOVER:format(strategy, KEYS), i) end
      for i = 3, 5 do pipes[i] = fixture.spawn(WRITER:format(strategy, KEYS), i) end
      for _, pipe in ipairs(pipes) do assert.equal("ready", pipe:read "l") end
      fixture.write("go", "")
      local expected, orders, moves = {}, 0, 0
      for i, pipe in ipairs(pipes) do
        local output = pipe:read "a"
        assert(pipe:close(), ("process %d failed: %s"):format(i, output))
        if i <= 2 then moves = moves + tonumber(output) end
        for key, n in output:gmatch "(%w+)\t(%d+)" do
          if key == "orders" then orders = orders + tonumber(n)
          else expected[key] = (expected[key] or 0) + tonumber(n) end
        end
      end
      assert.is_true(moves > 20, moves .. " moves")
      local found, homes, total, items = {}, {}, 0, 0
      for _, name in ipairs(NAMES) do
        for _, row in ipairs(fixture.rows(name .. ".db", "SELECT id, n FROM users")) do
          assert(not found[row.id], row.id .. " is on two shards")
          found[row.id], homes[row.id] = row.n, name
        end
      end
      for _, name in ipairs(NAMES) do
        for _, row in ipairs(fixture.rows(name .. ".db", "SELECT id, user_id FROM orders")) do
          assert.equal(homes[row.user_id], name)
          total = total + 1
        end
        items = items + fixture.rows(name .. ".db", [[SELECT count(*) AS n FROM items
          WHERE order_id IN (SELECT id FROM orders)]])[1].n
      end
      for i = 1, KEYS do assert.equal(expected["k" .. i] or 0, found["k" .. i], "k" .. i) end
      assert.same({ orders, orders }, { total, items })
    end)
  end
end)
