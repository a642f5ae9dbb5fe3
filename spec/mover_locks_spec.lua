-- What tells whether a mover lives: the lock that it holds on the directory's lock file, and its lease.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local movers = require "spec.support.movers"
local recovery = require "collegedb.recovery"

local USERS <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"

local function open(extra)
  local db = fixture.database(USERS, extra)
  local key = fixture.key_on(db, "a")
  db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
  return db, key
end

local function bump(db, key) return db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes end
local function lines() return fixture.rows("directory.db", "SELECT * FROM _collegedb_moves") end

-- A process that stops itself in the middle of a move; its pid, once it has.
local function stopped_mover(key, step)
  local pipe = fixture.spawn(([[
    local core, move = require "collegedb.core", require "collegedb.workflows.move"
    local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = false,
      shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
    local pid = io.open("/proc/self/stat"):read "n"
    local done, err = pcall(move.run, core.state(db), { keyspace = "", keys = { %q }, source = 1, target = 2,
      on_step = function(name)
        if name ~= %q then return end
        print(pid)
        io.stdout:flush()
        os.execute("kill -STOP " .. pid)
      end })
    print(done or err.code)
    db:close()]]):format(key, step))
  local pid = math.tointeger(pipe:read "n")
  for _ = 1, 500 do
    local stat <close> = io.open(("/proc/%d/stat"):format(pid))
    if stat:read("a"):find "%) T" then return pid, pipe end
    core.pause(10)
  end
  error "the mover did not stop"
end

local function send(signal, pid) os.execute(("kill -%s %d"):format(signal, pid)) end

describe("a mover's lock", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, step in ipairs { "journal", "receive", "send", "copy" } do
    it("ends with its process, and not while that is stopped: after " .. step, function()
      local db, key = open { move_deadline = 1 }
      local pid, pipe = stopped_mover(key, step)
      assert.equal(step == "journal" and 0 or 1, recovery.run(core.state(db)).live)
      assert.equal(1, #lines())
      if step == "send" or step == "copy" then fixture.raises("MOVING", nil, bump, db, key) end
      fixture.open(fixture.config()):close() -- an open recovers too
      assert.equal(1, #lines())
      send("KILL", pid)
      pipe:read "a"
      pipe:close()
      assert.equal(1, bump(db, key))
      fixture.open(fixture.config()):close()
      assert.equal(0, #lines())
      assert.same({ "a" }, fixture.holders({ "a", "b" }, "users", "id", key))
      assert.is_true(db:reassign_shard(key, "b").moved)
    end)
  end

  it("lets it go on after a stop", function()
    local db, key = open()
    local pid, pipe = stopped_mover(key, "copy")
    fixture.open(fixture.config()):close()
    send("CONT", pid)
    assert.matches("^%s*true\n", pipe:read "a")
    pipe:close()
    assert.same({ "b" }, fixture.holders({ "a", "b" }, "users", "id", key))
    assert.equal(1, bump(db, key))
    assert.equal(0, #lines())
  end)

  it("is seen by other instances of the process, and by itself", function()
    local db, key = open()
    local other, seen = fixture.open(fixture.config()), 0
    move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(step)
      if step == "journal" or step == "close" then return end
      for _, each in ipairs { other, db } do
        local report = recovery.run(core.state(each))
        assert.same({ 0, 0 }, { report.finished, report.undone })
        seen = seen + report.live
      end
      fixture.open(fixture.config()):close() -- closing one drops no lock of another
    end })
    assert.is_true(seen >= 10)
    assert.same({ "b" }, fixture.holders({ "a", "b" }, "users", "id", key))
  end)

  it("is let go after a move that failed", function()
    local db, key = open()
    fixture.raises("CONFLICT", nil, move.run, core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2,
      on_step = function(step)
        if step == "send" then error(require("collegedb.errors").new("CONFLICT", "so"), 0) end
      end })
    assert.equal(0, #lines())
    local number = fixture.rows("directory.db", "SELECT value FROM _collegedb_counters WHERE name = 'move'")[1].value
    local _, held = core.look_at_lock(fixture.path "directory.db-users", (1 << 50) + number)
    assert.is_false(held)
  end)

  it("tells nothing where the lock file was replaced, and the lease does", function()
    local db, key = open { move_deadline = 1 }
    movers.die(key, "copy", "a", "b")
    db:close()
    assert(os.rename(fixture.path "directory.db-users", fixture.path "away"))
    db = fixture.open(fixture.config { move_deadline = 1 })
    assert.equal(1, #lines())
    fixture.raises("MOVING", nil, bump, db, key)
    movers.expire()
    assert.equal(1, bump(db, key))
  end)

  it("is not held where a shard may do later what a dead mover has asked for", function()
    local given = fixture.config()
    given.shards[2] = { name = "b", fixture.single "b.db" }
    local db = fixture.open(given)
    db:ensure_schema(USERS)
    local key, asked = fixture.key_on(db, "a"), nil
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(step)
      if step == "journal" then asked = lines()[1] end
    end })
    assert.is_number(asked.number)
    assert.is_nil(asked.lock)
  end)

  it("is noted in a directory that an earlier version made", function()
    local db, key = open()
    db:close()
    fixture.sqlite("directory.db", "ALTER TABLE _collegedb_moves DROP COLUMN lock")
    local looked = require("collegedb.status").new(require("collegedb.config").normalize(fixture.config()))
    assert.same({ live = 0, waiting = 0, list = {} }, looked:read().moves)
    looked:close()
    fixture.open(fixture.config())
    movers.die(key, "send", "a", "b")
    assert.matches("^%x+:%x+$", lines()[1].lock)
  end)
end)
