-- Several programs on the same D1 shards, with a directory in a file that they share.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local engine = require "spec.support.engine"
local fixture = require "spec.support.fixture"

describe("programs on the same D1 shards", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local endpoint, names
  setup(function() endpoint, names = engine.start(6) end)
  teardown(engine.stop)
  before_each(fixture.start)
  after_each(fixture.stop)

  -- Opens both databases in whatever program: source code with the number of the first database.
  local function opening(first, strategy)
    return ([[local number = tonumber(arg[1])
      local shards = {}
      for i, name in ipairs { %q, %q } do
        shards[i] = { name = "s" .. i, collegedb.d1 { database = name, endpoint = %q } }
      end
      local db = collegedb.open { kv = folder .. "/directory.db", shards = shards, strategy = %q, auto_migrate = true }
      ]]):format(names[first], names[first + 1], endpoint, strategy)
  end

  local function direct(number)
    local shard = collegedb.d1({ database = names[number], endpoint = endpoint }):open "direct"
    fixture.track { close = function() core.close(shard) end }
    return shard
  end

  -- Both shards, with their tables.
  local function make_tables(first)
    local list = { direct(first), direct(first + 1) }
    for _, shard in ipairs(list) do
      shard:exec [[CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER, last INTEGER);
        CREATE TABLE log (line TEXT, user TEXT)]]
    end
    return list
  end

  local function rows(list, sql)
    local all = {}
    for _, shard in ipairs(list) do
      for _, row in ipairs(shard:all(sql)) do all[#all + 1] = row end
    end
    return all
  end

  for first, strategy in pairs { [1] = "hash", [3] = "round-robin" } do
    it("add to the same rows, and insert the same keys, with " .. strategy, function()
      local list = make_tables(first)
      local outputs = fixture.together(4, opening(first, strategy) .. [[
        wait_for_go()
        local inserted = 0
        for i = 1, 25 do
          local key = "k" .. i
          local done, err = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 0, 0)", { key })
          if done then inserted = inserted + 1 elseif err.code ~= "CONSTRAINT" then error(err) end
          for _ = 1, 2 do
            local result = db:run(key, "UPDATE users SET n = n + 1, last = ? WHERE id = ?", { number, key })
            assert(result.meta.changes == 1)
          end
        end
        db:close()
        print(inserted)]])
      local inserted = 0
      for _, output in ipairs(outputs) do inserted = inserted + tonumber(output) end
      assert.equal(25, inserted) -- each key by one program
      local users = rows(list, "SELECT id, n FROM users")
      assert.equal(25, #users)
      for _, row in ipairs(users) do assert.equal(8, row.n, row.id) end
      local db = fixture.open { kv = fixture.path "directory.db", shards = {
        { name = "s1", collegedb.d1 { database = names[first], endpoint = endpoint } },
        { name = "s2", collegedb.d1 { database = names[first + 1], endpoint = endpoint } } }, strategy = strategy }
      assert.is_true(db:verify().success)
      local _, by_shard = db:count "users"
      assert(by_shard.s1 > 0 and by_shard.s2 > 0)
      if strategy == "round-robin" then assert(math.abs(by_shard.s1 - by_shard.s2) <= 1) end
    end)
  end

  it("lose nothing that one of them was told is done, when they are killed", function()
    local list = make_tables(5)
    local insert = [[
      io.stdout:setvbuf "line"
      for i = 1, number % 2 == 0 and 100000 or 60 do
        local key = ("p%d-%d"):format(number, i)
        db:insert(key, "INSERT INTO users VALUES (?, ?, 0)", { key, i })
        print(key)
      end
      db:close()]]
    -- They are killed in the middle of whatever they do.
    local suicide = [[os.execute(("(sleep 0.4; kill -9 %d) &"):format(io.open "/proc/self/stat":read "n"))]]
    local victims = {}
    for i = 1, 2 do victims[i] = fixture.spawn(opening(5, "hash") .. suicide .. insert, 2 * i) end
    local survivor = opening(5, "hash"):gsub("arg%[1%]", "2 * arg[1] + 1") .. "wait_for_go()" .. insert
    local outputs = fixture.together(2, survivor)
    for _, victim in ipairs(victims) do
      outputs[#outputs + 1] = victim:read "a"
      assert.is_nil((victim:close()))
    end
    local told = 0
    local found = {}
    for _, row in ipairs(rows(list, "SELECT id FROM users")) do
      assert.is_nil(found[row.id])
      found[row.id] = true
    end
    for _, output in ipairs(outputs) do
      for key in output:gmatch "p%d%-%d+" do
        told = told + 1
        assert.is_true(found[key], key)
      end
    end
    assert(told > 120, told)
    local db = fixture.open { kv = fixture.path "directory.db", shards = {
      { name = "s1", collegedb.d1 { database = names[5], endpoint = endpoint } },
      { name = "s2", collegedb.d1 { database = names[6], endpoint = endpoint } } } }
    assert.is_true(db:verify().success)
  end)
end)
