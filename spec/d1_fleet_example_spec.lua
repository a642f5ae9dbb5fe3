-- examples/d1-fleet.lua: three D1 databases of a Worker that goes on ordering become one, get a fourth, are balanced.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local json_reader = require "collegedb.json_reader"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"
local process = require "spec.support.process"

local CUSTOMERS <const>, SHOPPERS <const> = 150, 2
local BINDINGS <const> = { "DB_EU", "DB_US", "DB_ASIA", "DB_NEW" }

describe("a fleet of D1 databases that a Worker uses", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  local worker

  setup(function()
    worker = gateway.start { databases = BINDINGS, worker = "spec/engine/fleet/main.js" }
    fixture.start()
    local at = collegedb.gateway { url = worker.url, token = gateway.token }
    for i = 1, 3 do
      local shard = at:shard(BINDINGS[i]):open(BINDINGS[i])
      shard:exec [[CREATE TABLE customers (name TEXT PRIMARY KEY, region TEXT, spent INTEGER);
        CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT REFERENCES customers (name) ON DELETE CASCADE,
          amount INTEGER);
        CREATE INDEX orders_customer ON orders (customer)]]
      for n = i, CUSTOMERS, 3 do
        shard:run("INSERT INTO customers VALUES (?, ?, 0)", { "c" .. n, "old" })
      end
      core.close(shard)
    end
  end)
  teardown(function()
    net.close()
    fixture.stop()
    worker.stop()
  end)

  local function start_shoppers()
    local running = {}
    for i = 1, SHOPPERS do
      local out = fixture.path("shopper" .. i)
      local command = ("exec env -u LD_PRELOAD timeout 200 node spec/engine/fleet/shopper.mjs %s %d >%s 2>&1"):format(
        worker.url, i, out)
      running[i] = { pipe = assert(io.popen(command, "w")), out = out }
    end
    return running
  end

  -- What they were told that it was done: by customer, orders and money.
  local function stop_shoppers(running)
    local sums = {}
    for _, each in ipairs(running) do
      local ended = each.pipe:close()
      local text = process.read(each.out)
      assert(ended, text)
      for customer, told in pairs(json_reader.decode(text)) do
        local sum = sums[customer] or { 0, 0, told[3] }
        sums[customer] = { sum[1] + told[1], sum[2] + told[2], told[3] }
      end
    end
    return sums
  end

  local function run_example()
    local words = { process.collegedb, "examples/d1-fleet.lua", worker.url, "DB_NEW", "DB_EU", "DB_US", "DB_ASIA" }
    return process.run(words, { env = { COLLEGEDB_GATEWAY_TOKEN = gateway.token }, timeout = 150 })
  end

  it("is taken over, grows and is balanced while the Worker takes orders, and loses none", function()
    local running = start_shoppers()
    local result = run_example()
    local told = stop_shoppers(running)
    assert.equal(0, result.status, result.stdout .. result.stderr)
    assert.matches("DB_EU: %d+ rows, 0 conflicts\n", result.stdout)
    assert.matches(" 0 findings\n", result.stdout)
    local moved = assert(math.tointeger(result.stdout:match "moved: (%d+) of"))
    assert(moved > 20, result.stdout)

    local at = collegedb.gateway { url = worker.url, token = gateway.token }
    local shards = {}
    for i, name in ipairs(BINDINGS) do shards[i] = { name = name, at:shard(name), external_writers = true } end
    local db = fixture.open { kv = at:coordinator(), shards = shards, auto_migrate = false }
    local orders, count = 0, 0
    for customer, sum in pairs(told) do
      local row = db:first(customer, "SELECT spent FROM customers WHERE name = ?", { customer })
      assert.equal(sum[2], row and row.spent, customer)
      assert.equal(sum[1], db:first(customer, "SELECT count(*) AS n FROM orders WHERE customer = ?", { customer }).n)
      orders, count = orders + sum[1], count + 1
    end
    assert(orders > 20, "the Worker took few orders meanwhile: " .. orders)
    assert.equal(orders, (db:count "orders")) -- each is there once
    assert.same({ true, {} }, { db:verify().success, db:verify().findings })

    -- The Worker finds each of them, too.
    local looked = 0
    for customer, sum in pairs(told) do
      if looked == 40 then break end
      looked = looked + 1
      local answer = net.request { url = ("%s/shop?customer=%s&region=%s"):format(worker.url, customer, sum[3]) }
      assert.same({ name = customer, spent = sum[2], orders = sum[1] }, json_reader.decode(answer.body))
    end
  end)

  it("and again finds little to do", function()
    local result = run_example()
    assert.equal(0, result.status, result.stdout .. result.stderr)
    local moved = math.tointeger(result.stdout:match "moved: (%d+) of")
    assert(moved <= 40, result.stdout)
  end)
end)
