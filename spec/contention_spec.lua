-- Eight processes give the same new keys a place while two others take existing shards over, back, and over again.
-- The proof at its full size, 50,000 keys (about a minute; it prints its figures):
--
--     CDB_PROOF=1 make test SPEC=spec/contention_spec.lua

local fixture = require "spec.support.fixture"

local PROOF <const> = os.getenv "CDB_PROOF" ~= nil
local KEYS <const> = PROOF and 50000 or 1200
local NAMES <const> = { "a", "b", "c", "d", "old1", "old2" } -- the last two have rows before, and take no new keys

-- Every tenth key has a row already, on one of the existing shards.
local function home_before(i) return i % 20 == 0 and "old1" or i % 20 == 10 and "old2" or nil end

local function make_existing(name)
  local parts = { "BEGIN; CREATE TABLE users (id TEXT PRIMARY KEY, n)" }
  for i = 1, KEYS do
    if home_before(i) == name then parts[#parts + 1] = ("INSERT INTO users VALUES ('k%d', 0)"):format(i) end
  end
  fixture.sqlite(name .. ".db", table.concat(parts, ";") .. "; COMMIT")
end

local function config(strategy)
  local shards = { old1 = { allocate = false }, old2 = { allocate = false } }
  return fixture.config({ strategy = strategy, auto_migrate = false, shards = shards }, NAMES)
end

-- Processes 1 to 8 insert, each key is tried by three of them at about the same time; 9 and 10 integrate.
local PROGRAM <const> = [[
  local me, strategy, keys = tonumber(arg[1]), %q, %d
  local shards = {}
  for i, name in ipairs { "a", "b", "c", "d", "old1", "old2" } do
    shards[i] = { name = name, folder .. "/" .. name .. ".db", allocate = i <= 4, busy_timeout = 30 }
  end
  local db <close> = collegedb.open { kv = folder .. "/directory.db", strategy = strategy, auto_migrate = false,
    shards = shards }

  local function insert(key)
    return pcall(db.insert, db, key, "INSERT INTO users VALUES (?, ?)", { key, me })
  end

  local function claim()
    local won, waited = 0, 0
    for i = 1, keys do
      local done, err = (i + me) %% 8 >= 3, nil
      while not done do
        done, err = insert("k" .. i)
        if done then won = won + 1
        elseif err.code == "CONSTRAINT" then done = true
        elseif err.code == "BUSY" then waited = waited + 1
        else error(err) end
      end
    end
    return won, waited
  end

  local function integrate()
    local name, rounds = me == 9 and "old1" or "old2", 0
    local function again()
      local done, err = pcall(db.integrate, db, name)
      if not done and err.code ~= "BUSY" then error(err) end
      rounds = rounds + (done and 1 or 0)
      return done
    end
    for _ = 1, 5 do
      again()
      os.execute "sleep 0.1"
      db:rollback(name)
    end
    repeat until again()
    return 0, rounds
  end

  wait_for_go()
  print((me <= 8 and claim or integrate)())
]]

-- The rows of each shard, as a map from the key to the shard; a key on two shards fails.
local function holders()
  local where, counts = {}, {}
  for _, name in ipairs(NAMES) do
    local rows = fixture.rows(name .. ".db", "SELECT id FROM users")
    counts[name] = #rows
    for _, row in ipairs(rows) do
      assert(not where[row.id], ("%s is on %s and on %s"):format(row.id, where[row.id], name))
      where[row.id] = name
    end
  end
  return where, counts
end

local function check_keys(db, where)
  for i = 1, KEYS do
    local key = "k" .. i
    local before = home_before(i)
    if not where[key] or (before and where[key] ~= before) then
      error(("%s is on %s, and was on %s"):format(key, where[key], before))
    end
    local shard, how = db:locate(key)
    if shard ~= where[key] or how ~= "directory" then error(("%s is on %s: %s"):format(key, where[key], how)) end
  end
end

describe("keys that eight processes claim while two integrate", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function run(strategy)
    make_existing "old1"
    make_existing "old2"
    local db = fixture.open(config(strategy))
    for _, name in ipairs { "a", "b", "c", "d" } do db:create_schema(name) end
    db:close()
    local outputs = fixture.together(10, PROGRAM:format(strategy, KEYS), PROOF and 900 or nil)
    local won, waited = 0, 0
    for i = 1, 8 do
      local mine, times = outputs[i]:match "^(%d+)\t(%d+)\n$"
      won, waited = won + assert(tonumber(mine), outputs[i]), waited + tonumber(times)
    end
    db = fixture.open(config(strategy))
    local where, counts = holders()
    check_keys(db, where)
    local new = KEYS - counts.old1 - counts.old2
    assert.equal(KEYS // 20 * 2, KEYS - new)
    assert.equal(new, won)
    local entries = fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n
    assert.equal(KEYS, entries)
    return counts, new, waited
  end

  local function report(strategy, seconds, counts, waited)
    if not PROOF then return end
    local line = "   %s: %d keys, 8 + 2 processes, %d s; a %d, b %d, c %d, d %d; old %d and %d; BUSY %d times"
    print(line:format(strategy, KEYS, seconds, counts.a, counts.b, counts.c, counts.d, counts.old1, counts.old2,
      waited))
  end

  it("have one shard each under random", function()
    local start = os.time()
    local counts, new, waited = run "random"
    report("random", os.time() - start, counts, waited)
    for _, name in ipairs { "a", "b", "c", "d" } do
      assert.is_true(math.abs(counts[name] - new / 4) < 6 * math.sqrt(new * 3 / 16), name)
    end
  end)

  it("have one shard each under round_robin, and the turns are exact", function()
    local start = os.time()
    local counts, new, waited = run "round_robin"
    report("round_robin", os.time() - start, counts, waited)
    for _, name in ipairs { "a", "b", "c", "d" } do
      assert.is_true(counts[name] == new // 4 or counts[name] == -(-new // 4), name .. " has " .. counts[name])
    end
    local turns = fixture.rows("directory.db", "SELECT value AS n FROM _collegedb_counters WHERE name LIKE 'turn:%'")
    assert.same({ { n = new } }, turns)
  end)
end)
