-- Two databases on one table KV: while the one works, the other does something in the middle of its calls of the KV.
-- Whatever comes together, a key is on one shard, and a row that exists is found by both. The sequences are made of
-- seeds, apart from what the strategy random says.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local table_kv = require "spec.support.table_kv"

local SEEDS <const>, STEPS <const>, KEYS <const> = 9, 50, 12
local NAMES <const> = { "a", "b", "c" }

-- Lua's own generator belongs to the program.
local function generator(seed)
  local state = seed * 2654435761 + 1
  return function(n)
    state = state ~ (state << 13)
    state = state ~ (state >> 7)
    state = state ~ (state << 17)
    return (state >> 1) % n + 1
  end
end

local function actions(random)
  local function key() return "k" .. random(KEYS) end
  local function with_key(sql)
    return function(db)
      local k = key()
      db:run(k, sql, { k })
    end
  end
  return {
    with_key "INSERT INTO u VALUES (?, 0) ON CONFLICT DO UPDATE SET v = v + 1",
    with_key "UPDATE u SET v = v + 1 WHERE k = ?",
    with_key "SELECT v FROM u WHERE k = ?",
    function(db) db:rollback(NAMES[random(3)]) end,
    function(db) db:integrate(NAMES[random(3)], { page = random(5) }) end,
    function(db) db:mapper():delete_shard_mapping(key()) end,
    function(db)
      if random(4) == 1 then db:mapper():clear_all_mappings() end
    end,
  }
end

local function check(one, two, what)
  for i = 1, KEYS do
    local key, holders = "k" .. i, {}
    for _, name in ipairs(NAMES) do
      if one:shard(name):first("SELECT 1 FROM u WHERE k = ?", { key }) then holders[#holders + 1] = name end
    end
    assert(#holders <= 1, ("%s: %s is on %s"):format(what, key, table.concat(holders, " and ")))
    for _, db in ipairs { one, two } do
      local row = db:first(key, "SELECT 1 AS yes FROM u WHERE k = ?", { key })
      assert(#holders == 0 or row, ("%s: %s is on %s and not found"):format(what, key, holders[1]))
    end
  end
end

describe("two databases on one table KV", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for seed = 1, SEEDS do
    it("agree in whatever order their steps come: " .. seed, function()
      local random, kv = generator(seed), table_kv.memory()
      kv.page = random(8) + 1
      fixture.sqlite("a.db", [[CREATE TABLE u (k TEXT PRIMARY KEY, v INTEGER);
        INSERT INTO u VALUES ('k1', 0), ('k2', 0), ('k3', 0), ('k4', 0), ('k5', 0), ('k6', 0)]])
      local function open()
        return fixture.open(fixture.config({
          kv = kv, strategy = ({ "random", "hash", "round_robin" })[seed % 3 + 1], auto_migrate = false,
          mapping_cache_ttl = 0,
        }, NAMES))
      end
      local one, two = open(), open()
      one:ensure_schema "CREATE TABLE IF NOT EXISTS u (k TEXT PRIMARY KEY, v INTEGER)"
      local list = actions(random)
      for step = 1, STEPS do
        local rare = random(2) == 1 and 50 or 7
        kv.on = function()
          if random(rare) == 1 then list[random(#list)](two) end
        end
        local done, err = pcall(list[random(#list)], one)
        kv.on = nil
        assert(done or collegedb.is_error(err, "BUSY"), tostring(err))
        check(one, two, ("seed %d, step %d"):format(seed, step))
      end
    end)
  end
end)
