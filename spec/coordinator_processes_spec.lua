-- The coordinator's directory, used by several programs at once, of which some are killed.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local directory = require "collegedb.directory"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local net = require "collegedb.net"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
local NAMES <const> = { "a", "b", "c", "d" }

-- So many keys, by 8 programs: the coordinator was measured with 20,000.
local KEYS <const> = tonumber(os.getenv "CDB_COORDINATOR_KEYS" or 1600)

describe("the coordinator's directory", function()
  if gateway.skips(it, function(why) pending(why) end) then return end

  local served, value

  setup(function()
    served = gateway.start { vars = { COLLEGEDB_DEVELOPMENT = "true" } }
    value = collegedb.gateway({ url = served.url, token = gateway.token }):coordinator()
  end)
  teardown(function()
    net.close()
    served.stop()
  end)

  before_each(fixture.start)
  before_each(function() value:ask("flush", json.object {}) end)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  -- In a program of its own: open(extra) opens the database.
  local function program(source)
    return ([[
      local function open(extra)
        local config = { kv = collegedb.gateway({ url = %q, token = %q }):coordinator(), auto_migrate = true,
          shards = {} }
        for i, name in ipairs { "a", "b", "c", "d" } do
          config.shards[i] = { name = name, folder .. "/" .. name .. ".db", synchronous = "off" }
        end
        for field, given in pairs(extra or {}) do config[field] = given end
        return collegedb.open(config)
      end
      local function insert(db, key)
        local done, err = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 1)", { key })
        if not done and err.code ~= "CONSTRAINT" then error(err, 0) end
      end
    ]]):format(served.url, gateway.token) .. source
  end

  local function open(extra)
    local config = fixture.config(extra, NAMES)
    config.kv = value
    return fixture.open(config)
  end

  local function prepare(extra)
    local db = open(extra)
    db:ensure_schema(SCHEMA)
    return db
  end

  -- How many keys each shard has, from the fewest on; and that turns and entries are as many as there are keys.
  local function spread(db, turn)
    local dir, list, entries = core.state(db).directory, {}, 0
    for _, n in pairs(dir:counts()) do entries = entries + n end
    local total, counts = db:count "users"
    for _, n in pairs(counts) do list[#list + 1] = n end
    table.sort(list)
    assert.same({ total, total }, { entries, dir:count_on(turn, 0) })
    assert.same({}, db:verify().findings)
    -- What the ranges have done is forgotten.
    local handle = value:open "the coordinator"
    assert.is_true(handle:first "SELECT count(*) AS n FROM _gateway_log".n < 2 * 16)
    core.close(handle)
    return list
  end

  it("spends exactly one turn for each key of 8 programs", function()
    local db = prepare { strategy = "round_robin" }
    local began = core.now()
    fixture.together(8, program(([[
      local db = open { strategy = "round_robin" }
      wait_for_go()
      for i = 1, %d do insert(db, ("k%%d-%%d"):format(arg[1], i)) end
      db:close()
    ]]):format(KEYS // 8)), 500)
    if os.getenv "CDB_TELL" then print(("%d keys in %.1f s"):format(KEYS, (core.now() - began) / 1000)) end
    local each = KEYS // 4
    assert.same({ each, each, each, each }, spread(db, "round_robin"))
  end)

  it("does so for keys that programs want at the same time", function()
    local db = prepare { strategy = "round_robin" }
    fixture.together(4, program [[
      local db = open { strategy = "round_robin" }
      wait_for_go()
      for i = 1, 60 do insert(db, "u" .. (i + arg[1] // 3 * 20)) end
      db:close()
    ]])
    assert.same({ 20, 20, 20, 20 }, spread(db, "round_robin"))
  end)

  it("does so for a strategy that takes turns as it likes", function()
    local strategy <const> = [[
      { name = "mine", select = function(_, shards, ctx) return shards[3 - ctx.turn "mine" % 4 + 1].name end }]]
    local db = prepare { strategy = load("return " .. strategy)() }
    fixture.together(4, program(([[
      local db = open { strategy = %s }
      wait_for_go()
      for i = 1, 15 do insert(db, "u" .. (i + arg[1] // 3 * 5)) end
      db:close()
    ]]):format(strategy)))
    assert.same({ 5, 5, 5, 5 }, spread(db, "mine"))
  end)

  it("gives each key one shard, on which all agree", function()
    local db = prepare { strategy = "random" }
    local said = {}
    for _, output in ipairs(fixture.together(4, program [[
      local db = open { strategy = "random" }
      wait_for_go()
      for i = 1, 40 do
        local key = "k" .. (i * 7 + arg[1]) % 60
        insert(db, key)
        print(key, (db:locate(key)))
      end
      db:close()
    ]])) do
      for key, shard in output:gmatch "(k%d+)\t(%w+)\n" do
        assert.equal(said[key] or shard, shard, key)
        said[key] = shard
      end
    end
    for key, shard in pairs(said) do assert.same({ shard }, fixture.holders(NAMES, "users", "id", key)) end
    assert.equal(60, (db:count "users"))
    assert.same({}, db:verify().findings)
  end)

  it("lets no key into a shard that is closed at the same time", function()
    local dir = directory.open(value)
    local function add(name)
      local id
      dir:change(function(tx)
        id = tx:run("INSERT INTO _collegedb_shards (name, integrated) VALUES (?, 1)", { name }).meta.last_row_id
        return true
      end)
      return id
    end
    -- Others claim keys for the newest shard that is open, one after the other.
    local pipes = {}
    for i = 1, 3 do
      pipes[i] = fixture.spawn(([[
        local core = require "collegedb.core"
        local dir = require "collegedb.directory".open(collegedb.gateway({ url = %q, token = %q }):coordinator())
        wait_for_go()
        local i = 0
        repeat
          i = i + 1
          local epoch, row = dir:hold(function()
            return dir:epoch(), dir.shard:first "SELECT id FROM _collegedb_shards WHERE drained = 0 ORDER BY id DESC"
          end)
          if row then dir:claim("", ("k%%s-%%d"):format(arg[1], i), row.id, epoch) end
          core.pause(core.random() %% 250)
        until io.open(folder .. "/stop")
        dir:close()
      ]]):format(served.url, gateway.token), i)
      assert.equal("ready", pipes[i]:read "l")
    end
    fixture.write("go", "")
    local closed, kept = {}, 0
    for round = 1, 25 do
      local id = add("s" .. round)
      core.pause(core.random() % 5)
      local done = pcall(dir.change, dir, function(tx)
        if dir:counts()[id] then error("it has keys", 0) end
        dir:check_unused(tx, id)
        tx:run("UPDATE _collegedb_shards SET drained = 2 WHERE id = ?", { id })
        return true
      end)
      if done then closed[#closed + 1] = id else kept = kept + 1 end
    end
    fixture.write("stop", "")
    for i = 1, 3 do
      local said = pipes[i]:read "a"
      assert(pipes[i]:close(), said)
    end
    local counts = dir:counts()
    for _, id in ipairs(closed) do assert.is_nil(counts[id]) end
    if os.getenv "CDB_TELL" then print(("%d closed, %d kept"):format(#closed, kept)) end
    dir:close()
  end)

  it("is as it should be after programs were killed", function()
    prepare({ strategy = "round_robin" }):close()
    local source = program [[
      require("collegedb.moves").lease = 1
      local round, me = tonumber(arg[1]), tonumber(arg[2])
      if me <= 3 then os.execute(("( sleep 0.%d; kill -9 %%d ) &"):format(2 + (round + me) % 4):format(
        tonumber(io.open("/proc/self/stat"):read "n"))) end
      local db = open { strategy = "round_robin" }
      for i = 1, me <= 3 and 100000 or 40 do
        local key = ("r%d-%d"):format(round, me == 4 and i or i // 2 * 2)
        insert(db, key)
        if i % 9 == 0 then
          local done, err = pcall(db.reassign_shard, db, key, ("abc"):sub(i % 3 + 1, i % 3 + 1))
          if not done and err.code ~= "CONFLICT" then error(err, 0) end
        end
      end
      db:close()
      print "ended"
    ]]
    for round = 1, 2 do
      local pipes = {}
      for me = 1, 4 do pipes[me] = fixture.spawn(source, round, me) end
      for me = 1, 4 do
        local said = pipes[me]:read "a"
        pipes[me]:close()
        if me == 4 then assert.equal("ended\n", said) end
      end
    end
    local db = open { strategy = "round_robin" }
    require("collegedb.recovery").run(core.state(db), true) -- none of them lives
    assert.same({}, db:verify().findings)
    local dir, entries = core.state(db).directory, 0
    for _, n in pairs(dir:counts()) do entries = entries + n end
    assert.equal(entries, dir:count_on("round_robin", 0))
    for row in core.state(db).shards[1].handle:each "SELECT id FROM users" do
      assert.equal("a", (db:locate(row.id)))
    end
  end)
end)
