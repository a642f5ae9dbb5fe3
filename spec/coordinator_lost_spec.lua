-- The directory of the coordinator when one of its objects is reset, or an answer is lost, at any call of one object by
-- another or of the client's: what comes out is what comes out without it.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local directory = require "collegedb.directory"
local calls = require "spec.support.directory_calls"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local json_reader = require "collegedb.json_reader"
local net = require "collegedb.net"

-- CDB_LOST_STEP=1 looks at every call.
local STEP <const> = tonumber(os.getenv "CDB_LOST_STEP" or 0)

describe("a fault of the coordinator's", function()
  if gateway.skips(it, function(why) pending(why) end) then return end

  local served, value

  setup(function()
    served = gateway.start { worker = "spec/engine/faulty/index.js", vars = { COLLEGEDB_DEVELOPMENT = "true" } }
    value = collegedb.gateway({ url = served.url, token = gateway.token }):coordinator()
  end)
  teardown(function()
    net.close()
    served.stop()
  end)
  before_each(fixture.start)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  local function post(path, body)
    local answer = net.request { url = served.url .. path, body = json.encode(json.object(body)), write = false }
    return json_reader.decode(answer.body)
  end

  -- Sets a fault; answers how many calls there were since the last one was set.
  local function set_fault(at, how, method) return post("/fault", { at = at, how = how, method = method }).calls end

  -- Where an answer of the entries' is lost on its way to this program, or comes a second time after the next request.
  local function lossy(dir, at, how)
    local rows, count, late = dir.rows.coordinator, 0, nil
    dir.rows.coordinator = { ask = function(_, path, body)
      count = count + 1
      local answer, attempts = rows:ask(path, body)
      if late then
        rows:ask(late[1], late[2])
        late = nil
      end
      if count ~= at then return answer, attempts end
      if how == "late" then late = { path, body } return answer, attempts end
      answer, attempts = rows:ask(path, body)
      return answer, attempts + 1
    end }
    return function() return count >= at end
  end

  -- All that is in the directory, less what is of a moment.
  local function dump()
    local dir = directory.open(value)
    local out, digests = { counters = {}, shards = dir.journal:all "SELECT * FROM _collegedb_shards ORDER BY id" }, ""
    for row in dir.journal:each "SELECT name, value FROM _collegedb_counters WHERE name NOT IN ('identity', 'move')" do
      out.counters[row.name] = row.value
    end
    out.placements = dir.journal:all "SELECT * FROM _collegedb_placements ORDER BY number"
    repeat
      local page = dir.rows:page(digests:sub(-16))
      digests = digests .. table.concat(page)
    until #page == 0
    for i, entry in pairs((dir:entries_of(digests))) do
      out[digests:sub(16 * i - 15, 16 * i)] = { entry.shard, entry.version }
    end
    dir:close()
    return out
  end

  local function clean()
    for _, name in ipairs(fixture.files()) do os.remove(fixture.path(name)) end
    value:ask("flush", json.object {})
  end

  local FAULTS <const> = { "refused", "lost", "caller", "callee" }
  local METHODS <const> = { "lease", "spend", "freeze" }

  -- The faults that are looked at: those at the first calls of each kind, or with CDB_LOST_STEP at all calls.
  local function each_fault(faults)
    local list = {}
    for _, how in ipairs(faults or FAULTS) do
      if STEP > 0 then list[#list + 1] = { how, first = 1, step = STEP } end
      for i, method in ipairs(STEP > 0 and {} or METHODS) do
        list[#list + 1] = { how, method, first = i, step = 3 * i }
      end
    end
    return list
  end

  -- `f(open)` opens the directory by open(), once. `most` faults of each kind are enough.
  local function sweep(f, most, faults)
    clean()
    local expected = f(function() return directory.open(value) end)
    local seen = dump()
    local function compare(answer, ...)
      local what = table.concat({ ... }, ", ")
      assert.same(expected, answer, what)
      assert.same(seen, dump(), what)
    end
    for _, fault in ipairs(each_fault(faults)) do
      local at, count, how, method = fault.first, 0, fault[1], fault[2]
      repeat
        clean()
        set_fault(at, how, method)
        local done, answer = pcall(f, function() return directory.open(value) end)
        assert(done, ("%s, %s, %d: %s"):format(how, method, at, tostring(answer)))
        local came = set_fault(0, "") >= at
        compare(answer, how, tostring(method), at)
        at, count = at + fault.step, count + 1
      until not came or STEP == 0 and count == most
    end
    if faults then return end
    for _, how in ipairs { "again", "late" } do
      local at = 1
      repeat
        clean()
        local came
        local answer = f(function()
          local dir = directory.open(value)
          came = lossy(dir, at, how)
          return dir
        end)
        compare(answer, how, at)
        at = at + (STEP > 0 and STEP or 9)
      until not came()
    end
  end

  local function with_directory(f)
    return function(open)
      local dir = open()
      local done, answer = pcall(f, dir)
      dir:close()
      if not done then error(answer, 0) end
      return answer
    end
  end

  it("in a change of single entries changes nothing of what comes out", function()
    sweep(with_directory(function(dir)
      local seen, a, b = calls.single(dir, function(_, one, other, i, see)
        see(dir:rotate("r", "", "r" .. i, { one, other }, dir:epoch()))
      end)
      seen[#seen + 1] = { dir:rotate("r", "", "r1", { a, b }, dir:epoch()) }
      seen[#seen + 1] = { dir:rotate("r", "", "r9", { a, b }, dir:epoch() - 1) }
      return seen
    end), 2)
  end)

  it("in a change of many entries changes nothing of what comes out", function()
    sweep(with_directory(calls.many), 1)
  end)

  it("that makes the main object forget its leases keeps nobody from going on", function()
    clean()
    local dir = directory.open(value)
    local a, b = calls.shards(dir, "a", "b")
    local epoch = dir:epoch()
    for i = 1, 60 do dir:claim("", "k" .. i, a, epoch) end
    post("/reset", {})
    for i = 1, 60 do assert(dir:rotate("r", "", "r" .. i, { a, b }, epoch)) end
    post("/reset", {})
    dir:change(function() return true end)
    for i = 1, 60 do assert.is_nil((dir:claim("", "n" .. i, a, epoch))) end
    assert.equal(60, dir:count_on("r", 0))
    assert.same({ [a] = 90, [b] = 30 }, dir:counts())
    dir:close()
  end)

  describe("that holds a call up", function()
    local function ask(path, body)
      local answer = net.exchange { url = served.url .. "/coordinator/" .. path, token = gateway.token, write = false,
        body = json.encode(json.object(body)) }
      return json_reader.decode(answer.body)
    end

    -- Asks from another process, and returns when that has come to the fault; then what gives the answer.
    local function ask_meanwhile(path, body)
      local pipe = fixture.spawn(([[
        print(require("collegedb.net").request { url = %q, token = %q, write = false, body = %q }.body)
      ]]):format(served.url .. "/coordinator/" .. path, gateway.token, json.encode(body)))
      local began = core.now()
      repeat
        core.pause(10)
        if core.now() - began > 5000 then error("no call was made: " .. pipe:read "a") end
      until post("/calls", {}).calls >= 1
      return function()
        local said = pipe:read "a"
        pipe:close()
        return json_reader.decode(said)
      end
    end

    local function begin()
      clean()
      ask("shards", { shard = "a" })
      ask("shards", { shard = "b" })
      return ask("lookup", { digest = ("0"):rep(32) }).epoch
    end

    it("lets nobody go by a lease that was taken back before it came", function()
      local epoch = begin()
      set_fault(1, "slow", "lease")
      local claim = ask_meanwhile("claim", { digest = ("f"):rep(32), shard = "a", epoch = epoch })
      assert.is_true(ask("shards", { shard = "c" }).success)
      local answer = claim()
      assert.same({ false, epoch + 1 }, { answer.claimed, answer.epoch })
      assert.equal(2, set_fault(0, "")) -- it had to ask for another one
    end)

    it("lets nobody at a key whose turn is being spent", function()
      local epoch, digest = begin(), ("e"):rep(32)
      local ids = { ask("claim", { key = "x", shard = "a" }).id, ask("claim", { key = "y", shard = "b" }).id }
      for i, second in ipairs { "claim", "compare_and_set", "allot" } do
        digest = i .. digest:sub(2)
        set_fault(1, "slow", "spend")
        local first = ask_meanwhile("allot", { digest = digest, epoch = epoch, rotate = "72", shards = { ids[1] } })
        local other = ask(second, { digest = digest, epoch = epoch, shard = "b", version = json.null,
          rotate = second == "allot" and "72" or nil, shards = { ids[2] } })
        assert.is_true(first().claimed)
        assert.equal("a", other.shard)
        assert.is_false(other.claimed or other.set or false)
      end
      assert.equal(3, ask("turn", { name = "r", peek = true }).turn)
    end)

    it("lets a change that is made meanwhile and the spending of a turn not both have the key", function()
      local epoch = begin()
      set_fault(1, "slow", "spend")
      local a = ask("claim", { key = "x", shard = "a" }).id
      local first = ask_meanwhile("allot", { digest = ("d"):rep(32), epoch = epoch, rotate = "72", shards = { a } })
      -- What was spent is done, whatever the range has heard of it.
      assert.is_true(ask("shards", { shard = "c" }).success)
      assert.equal("a", ask("lookup", { digest = ("d"):rep(32) }).shard)
      local answer = first()
      assert.same({ "a", 1 }, { answer.shard, answer.version })
      assert.equal(1, ask("turn", { name = "r", peek = true }).turn)
    end)
  end)

  it("that keeps a range from being asked lets a change wait until it can not go by what was before", function()
    clean()
    local dir = directory.open(value)
    local a, b = calls.shards(dir, "a", "b")
    local epoch = dir:epoch()
    for i = 1, 40 do dir:claim("", "k" .. i, a, epoch) end
    set_fault(0, "cut")
    local began = core.now()
    assert.is_true((dir:change(function(tx)
      tx:run("UPDATE _collegedb_shards SET drained = 1 WHERE id = ?", { a })
      return true
    end)))
    assert.is_true(core.now() - began > 1000)
    for i = 1, 60 do assert.is_nil((dir:claim("", "n" .. i, a, epoch))) end
    for i = 1, 60 do assert.equal(i <= 40 and a or b, (dir:claim("", "k" .. i, b, epoch + 1))) end
    -- What must be known of entries can not be waited for.
    fixture.raises("BUSY", nil, dir.forget, dir, "", "k1")
    set_fault(0, "")
    assert.is_true(dir:forget("", "k1"))
    dir:close()
  end)

  local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"

  -- The story of a database, in which each part of the directory is used.
  local function story(strategy)
    for i, name in ipairs { "a", "b" } do
      local file = core.sqlite(fixture.path(name .. ".db"), { journal_mode = "delete" })
      file:exec(SCHEMA)
      for k = i * 20, i * 20 + 14 do file:run("INSERT INTO users VALUES (?, ?)", { "old" .. k, i }) end
      core.close(file)
    end
    local off = { synchronous = "off" }
    local db = collegedb.open(fixture.config { kv = value, strategy = strategy, shards = { a = off, b = off } })
    local done, answer = pcall(function()
      db:ensure_schema(SCHEMA)
      for i = 1, 6 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
      local moved = db:reassign_shard("k1", db:locate "k1" == "a" and "b" or "a")
      db:rollback "b"
      db:integrate "b"
      db:mapper():set_shard_mapping("mapped", "a")
      db:add_shard { name = "c", fixture.path "c.db", synchronous = "off" }
      for i = 7, 9 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
      local report = db:rebalance()
      local drained = db:drain "a"
      local verified = db:verify()
      local total, counts = db:count "users"
      return { moved = moved.moved, moves = report.moved, retired = report.retired, sealed = drained.sealed,
        findings = verified.findings, entries = verified.entries, total = total, counts = counts }
    end)
    db:close()
    if not done then error(answer, 0) end
    return answer
  end

  -- The story of one with computed homes is told when all is looked at.
  for _, strategy in ipairs { "round_robin", STEP > 0 and "hash" or nil } do
    it("in the story of a database under " .. strategy .. " changes nothing of what comes out", function()
      sweep(function() return story(strategy) end, 1, { "callee" })
    end)
  end
end)
