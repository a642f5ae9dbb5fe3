-- A D1 database as the directory, on a network that fails at one request, with Cloudflare's own engine behind it:
-- whichever it is, the story of a database goes on as if nothing had happened.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"

local ways <const> = {
  { "the answer is lost", { pass = true, part = 0 } },
  { "the answer is cut off", { pass = true, part = 90 } },
  { "the request is lost", {} },
  { "a gateway answers", faults.html(502) },
}

describe("a D1 database as the directory, when at one request", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local endpoint, names, used, through
  setup(function()
    used = 0
    endpoint, names = engine.start(120)
  end)
  teardown(engine.stop)
  before_each(function()
    fixture.start()
    faults.start()
    through = faults.stand_before(endpoint)
  end)
  after_each(function()
    faults.network()
    net.close()
    faults.stop()
    fixture.stop()
  end)

  local function new_files()
    for _, name in ipairs(fixture.files()) do os.remove(fixture.path(name)) end
    for i, name in ipairs { "a", "b" } do
      local file = core.sqlite(fixture.path(name .. ".db"), { journal_mode = "delete", synchronous = "off" })
      file:exec(SCHEMA)
      for k = i * 10, i * 10 + 5 do file:run("INSERT INTO users VALUES (?, ?)", { "old" .. k, i }) end
      core.close(file)
    end
  end

  -- What is done, and what comes of it; and how many requests it took. CDB_LOST_STEP=1 looks at each of them.
  local function story()
    used = used + 1
    new_files()
    local before = faults.count "*"
    local off <const> = { synchronous = "off" }
    local config = fixture.config { strategy = "round_robin", shards = { a = off, b = off },
      kv = collegedb.d1 { database = assert(names[used], "no database is left"), endpoint = through, deadline = 2 } }
    local db = collegedb.open(config)
    local done, answer = pcall(function()
      db:ensure_schema(SCHEMA)
      for i = 1, 4 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
      local moved = db:reassign_shard("k1", "b").moved
      local rolled_back = db:rollback("b").entries_removed
      local taken = db:integrate("b").mappings_created
      db:mapper():set_shard_mapping("mapped", "b")
      local updated = db:mapper():get_shard_mapping "mapped"
      db:mapper():delete_shard_mapping "mapped"
      local places = {}
      for i = 1, 4 do places[i] = (db:locate("k" .. i)) end
      return { moved = moved, rolled_back = rolled_back, taken = taken, updated = updated, places = places,
        counts = db:mapper():get_shard_key_counts(), findings = db:verify().findings }
    end)
    db:close()
    if not done then error(answer, 0) end
    return answer, faults.count "*" - before
  end

  for i, way in ipairs(ways) do
    it(way[1] .. ", does all the same", function()
      faults.network()
      local expected, requests = story()
      assert.same({ "b", "b", "a", "b" }, expected.places)
      local step = tonumber(os.getenv "CDB_LOST_STEP" or 61)
      for n = 1 + i % step, requests, step do
        faults.at(n, way[2])
        local done, answer = pcall(story)
        faults.network()
        assert(done, ("request %d: %s"):format(n, tostring(answer)))
        assert.same(expected, answer, "request " .. n)
      end
    end)
  end
end)
