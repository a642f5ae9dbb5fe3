-- Shards come and go while other processes, with views of their own, go on inserting, writing and reading.

local fixture = require "spec.support.fixture"

local TABLES <const> = [[CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER NOT NULL, who INTEGER);
  CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE);
  CREATE INDEX IF NOT EXISTS orders_user ON orders (user)]]
local SECONDS <const> = tonumber(os.getenv "CDB_PROOF" and 20 or 4)

local CHILD <const> = ([[
  local number, seconds = tonumber(arg[1]), SECONDS
  math.randomseed(number)
  local config = { kv = folder .. "/directory.db", strategy = %q, shards = {},
    mapping_cache_ttl = number %% 2 == 0 and 100 or 0.05, shards = {
    { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
  local db = collegedb.open(config)
  wait_for_go()
  local stop = os.time() + seconds
]]):gsub("SECONDS", tostring(SECONDS))

-- All race for the same keys, of which there are new ones all the time: of each one insert is acknowledged. Then all
-- count it up.
local WRITER <const> = CHILD .. [[
  local added, inserted, orders = {}, {}, 0
  while os.time() < stop do
    local newest = require("collegedb.core").now() // 20
    local key = "k" .. newest - math.random(0, 20)
    if #inserted > 0 and math.random(2) == 1 then key = inserted[math.random(#inserted)] end
    local dice = math.random(10)
    if dice <= 4 then
      local ok, e = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 0, ?)", { key, number })
      assert(ok or e.code == "CONSTRAINT" or e.code == "BUSY", tostring(e))
      if ok then inserted[#inserted + 1] = key end
    elseif dice <= 8 then
      local changes = db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes
      if changes == 1 then added[key] = (added[key] or 0) + 1 end
    elseif dice == 9 then
      orders = orders + 1
      local id = number * 1000000 + orders
      local ok, e = pcall(db.transaction, db, key, function(tx)
        if not tx:first("SELECT 1 FROM users WHERE id = ?", { key }) then return end
        tx:run("INSERT INTO orders VALUES (?, ?)", { id, key })
        print("o", id, key)
      end)
      assert(ok or e.code == "MOVED" or e.code == "BUSY", tostring(e))
      if not ok then print("x", id, key) end
    elseif added[key] then
      assert(db:first(key, "SELECT n FROM users WHERE id = ?", { key }), key .. " is not found")
    end
  end
  for _, key in ipairs(inserted) do print("i", key, number) end
  for key, n in pairs(added) do print("n", key, n) end
  db:close()]]

local OPERATOR <const> = CHILD .. [[
  local function try(what, f, ...)
    local ok, e = pcall(f, db, ...)
    assert(ok or e.code == "BUSY", what .. ": " .. tostring(e))
    if ok and e.failed_count then
      for _, each in ipairs(e.failed) do
        assert(each.code == "CONFLICT" or each.code == "BUSY" or each.code == "MOVED", each.message)
      end
    end
  end
  local rounds, names = 0, { "c", "b", "d" }
  while os.time() < stop do
    local name = names[rounds %% 3 + 1]
    rounds = rounds + 1
    try("add", db.add_shard, { name = name, folder .. "/" .. name .. ".db" })
    try("rebalance", db.rebalance)
    try("drain", db.drain, name == "c" and "b" or "c")
    if rounds %% 3 == 0 then try("drain", db.drain, "d") end
  end
  print("r", rounds, 0)
  db:close()]]

describe("while shards come and go", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "hash", "random" } do
    it("no key is lost and none is doubled, under " .. strategy, function()
      local db = fixture.database(TABLES, { strategy = strategy })
      local pipes, expected, inserted, orders, rounds = {}, {}, {}, {}, 0
      pipes[1] = fixture.spawn(OPERATOR:format(strategy), 1)
      for i = 2, 4 do pipes[i] = fixture.spawn(WRITER:format(strategy), i) end
      for _, pipe in ipairs(pipes) do assert.equal("ready", pipe:read "l") end
      fixture.write("go", "")
      for i, pipe in ipairs(pipes) do
        local output = pipe:read "a"
        assert(pipe:close(), ("process %d failed: %s"):format(i, output))
        for kind, first, second in output:gmatch "(%l)\t(%w+)\t(%w+)" do
          if kind == "i" then
            assert(not inserted[first], first .. " was inserted twice")
            inserted[first] = second
          elseif kind == "n" then expected[first] = (expected[first] or 0) + tonumber(second)
          elseif kind == "o" then orders[first] = second
          elseif kind == "x" then orders[first] = nil
          else rounds = rounds + tonumber(first) end
        end
      end
      if os.getenv "CDB_PROOF" then print(rounds .. " rounds") end
      assert.is_true(rounds > 1, rounds .. " rounds")
      local found, homes, ordered = {}, {}, {}
      for _, name in ipairs { "a", "b", "c", "d" } do
        for _, row in ipairs(fixture.rows(name .. ".db", "SELECT id, n, who FROM users")) do
          assert(not found[row.id], ("%s is on %s and on %s"):format(row.id, name, tostring(homes[row.id])))
          found[row.id], homes[row.id] = row, name
        end
      end
      for _, name in ipairs { "a", "b", "c", "d" } do
        for _, row in ipairs(fixture.rows(name .. ".db", "SELECT id, user FROM orders")) do
          ordered[tostring(row.id)] = row.user
          assert.equal(homes[row.user], name, "order " .. row.id .. " of " .. row.user)
        end
      end
      for key, who in pairs(inserted) do
        assert(found[key], key .. " is lost")
        assert.equal(tonumber(who), found[key].who)
        assert.equal(expected[key] or 0, found[key].n, key)
        assert.equal(found[key].n, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      end
      for key in pairs(found) do assert(inserted[key], key .. " was never acknowledged") end
      assert.same(orders, ordered)
      local report = db:verify()
      assert.is_true(report.success, require("collegedb.json").encode(report.findings))
    end)
  end
end)
