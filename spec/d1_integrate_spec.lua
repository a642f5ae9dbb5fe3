-- Taking over D1 databases that hold many rows already, on Cloudflare's own engine, beside a shard that is a file.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local engine = require "spec.support.engine"
local fixture = require "spec.support.fixture"

local MANY <const> = 100000

describe("a D1 database with many rows", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local endpoint, names, used
  setup(function()
    endpoint, names = engine.start(10)
    used = 0
  end)
  teardown(engine.stop)
  before_each(fixture.start)
  after_each(fixture.stop)

  -- A new database, and a connection of the test's own to it.
  local function new_database()
    used = used + 1
    local value = collegedb.d1 { database = names[used], endpoint = endpoint }
    local shard = value:open "direct"
    fixture.track { close = function() core.close(shard) end }
    return value, shard, names[used]
  end

  -- Users u1 … u100000, and numbered posts.
  local function fill(shard, users, posts)
    local count = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) "
    shard:exec "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    shard:exec "CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT)"
    shard:run(count .. "INSERT INTO users SELECT 'u' || i, i FROM c", { users })
    if posts then shard:run(count .. "INSERT INTO posts SELECT i * 1000003, 'post ' || i FROM c", { posts }) end
  end

  -- The D1 database `far` beside the file `near`.
  local function config_with(value, extra)
    local config = { kv = fixture.path "directory.db", auto_migrate = false,
      shards = { { name = "far", value }, { name = "near", fixture.path "near.db" } } }
    for field, each in pairs(extra or {}) do config[field] = each end
    return config
  end

  local function finds_all(db)
    for _, i in ipairs { 1, 2, 777, 19999, 20000, 20001, 54321, MANY } do
      local key = "u" .. i
      assert.equal("far", (db:locate(key)))
      assert.equal(i, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    end
    local report = db:verify()
    assert.same({ true, {} }, { report.success, report.findings })
    return report
  end

  it("is taken over by open, in a time that is bounded", function()
    local value, shard = new_database()
    fill(shard, MANY, 20000)
    local began = core.now()
    local db = fixture.open(config_with(value, { auto_migrate = true }))
    local took = core.now() - began
    assert(took < 20000, ("it took %d ms"):format(took))
    assert.equal(MANY + 20000, finds_all(db).keys)
    for _, i in ipairs { 1, 9999, 20000 } do
      local id = i * 1000003
      assert.equal("post " .. i, db:first(id, "SELECT title FROM posts WHERE id = ?", { id }).title)
      assert.equal("far", (db:locate(id, "posts")))
    end
    assert.same({ MANY, 0 }, { (db:count "users"), (select(2, db:count "users")).near })
    assert.is_nil(db:first("u100001", "SELECT n FROM users WHERE id = 'u100001'"))
  end)

  it("is taken over on the caller's own time where \"background\" can not be, which is said", function()
    local value, shard = new_database()
    fill(shard, 100)
    local events = {}
    local db = fixture.open(config_with(value, { auto_migrate = "background", on_event = function(event)
      events[#events + 1] = event.event .. ": " .. event.message
    end }))
    assert.equal("far", (db:locate "u7"))
    assert.is_true(db:get_shard_stats()[1].integrated)
    assert.matches("before open returns", table.concat(events, "\n"))
  end)

  it("is taken over in the end when the program is killed meanwhile", function()
    local value, shard, name = new_database()
    fill(shard, MANY)
    -- SQLite's file of the directory is all that the killed program leaves.
    local pipe = fixture.spawn([[
      local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = false, shards = {
        { name = "far", collegedb.d1 { database = arg[1], endpoint = arg[2] } },
        { name = "near", folder .. "/near.db" } } }
      db:integrate("far", { on_progress = function(done)
        if done < 50000 then return end
        print(done)
        io.flush()
        os.execute("kill -9 " .. io.open "/proc/self/stat":read "n")
      end })
      print "it was not killed"]], name, endpoint)
    local killed_at = pipe:read "a"
    pipe:close()
    assert.matches("^%d+\n", killed_at)
    assert.is_nil(killed_at:find "not killed")
    local db = fixture.open(config_with(value))
    -- Before it is over everything is found by looking.
    assert.equal(77777, db:first("u77777", "SELECT n FROM users WHERE id = 'u77777'").n)
    local first
    local report = db:integrate("far", { resume = true, on_progress = function(done) first = first or done end })
    assert.same({ true, MANY, {} }, { report.success, report.total_records, report.conflicts })
    assert(first > 20000, "it began anew: " .. first)
    assert.equal(MANY, finds_all(db).keys)
  end)

  it("and a file that has some of its keys meet as conflicts, where the first stands", function()
    local value, shard = new_database()
    fill(shard, 30000, 100)
    fixture.sqlite("near.db", [[CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
      CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT);
      WITH RECURSIVE c(i) AS (SELECT 29001 UNION ALL SELECT i + 1 FROM c WHERE i < 31000)
        INSERT INTO users SELECT 'u' || i, -i FROM c;
      INSERT INTO posts VALUES (5000015, 'near'), (7, 'seven');]])
    local db = fixture.open(config_with(value))
    assert.same({ true, 30100 }, (function(r) return { r.success, r.total_records } end)(db:integrate "far"))
    local report = db:integrate "near"
    assert.same({ false, 1001, 1000 }, { report.success, report.conflict_count, #report.conflicts })
    assert.equal(29500, db:first("u29500", "SELECT n FROM users WHERE id = 'u29500'").n)
    assert.equal(-30500, db:first("u30500", "SELECT n FROM users WHERE id = 'u30500'").n)
    assert.equal("post 5", db:first(5000015, "SELECT title FROM posts WHERE id = 5000015").title)
    assert.equal("seven", db:first(7, "SELECT title FROM posts WHERE id = 7").title)
    report = db:verify()
    assert.same({ false, 1001 }, { report.success, report.counts.doubled })
    assert.same({ 0, 0, 0 }, { report.counts.misplaced, report.counts.unmapped, report.counts.lost })
  end)

  it("is asked for keys as long as others write it", function()
    local value, shard = new_database()
    fill(shard, 50)
    local config = config_with(value, { auto_migrate = true })
    config.shards[1].external_writers = true
    local db = fixture.open(config)
    shard:run "INSERT INTO users VALUES ('late', 7)"
    assert.equal(7, db:first("late", "SELECT n FROM users WHERE id = 'late'").n)
    assert.equal("far", (db:locate "late"))
    assert.is_true(db:verify().success)
  end)
end)
