-- Programs that moved the same keys at once left some of them as "receiving", with no line in the journal, until the
-- next program that opened the database: a move that could not be taken back, since its key was on its way by another
-- one, was closed all the same.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

local KEYS <const>, ROUNDS <const> = 5, 60

describe("regression 441:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local NAMES <const> = { "a", "b", "c" }

  -- Keys that a shard holds for a move.
  local function held(name)
    local has = fixture.rows(name .. ".db", "SELECT 1 FROM sqlite_schema WHERE name = '_collegedb_own'")
    return #has == 0 and {} or fixture.rows(name .. ".db", "SELECT key, state FROM _collegedb_own "
      .. "WHERE state IN ('receiving', 'sending', 'sent')")
  end

  local function make()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", nil, NAMES)
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    return db, key
  end

  it("one that comes second leaves nothing", function()
    local db, key = make()
    local pipe
    move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(step)
      if step ~= "send" then return end
      pipe = fixture.spawn(([[
        local core, move = require "collegedb.core", require "collegedb.workflows.move"
        local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = false, shards = {
          { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" }, { name = "c", folder .. "/c.db" } } }
        local done, err = pcall(move.run, core.state(db), { keyspace = "", keys = { %q }, source = 1, target = 3,
          on_step = function(step)
            if step ~= "receive" then return end
            print "received"
            io.stdout:flush()
          end })
        print(done or err.code)
        db:close()]]):format(key))
      assert.equal("received", pipe:read "l")
      core.pause(200)
    end })
    assert.equal("CONFLICT", pipe:read "l")
    pipe:close()
    for _, name in ipairs(NAMES) do assert.same({}, held(name), name) end
    assert.equal(0, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
    assert.same({ "b" }, fixture.holders(NAMES, "users", "id", key))
  end)

  it("one that can not be taken back stays in the journal until it is", function()
    local db, key = make()
    local other = fixture.open(fixture.config(nil, NAMES))
    move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(step)
      if step ~= "send" then return end
      fixture.raises("CONFLICT", "not over: its program works, or has died", move.run, core.state(other),
        { keyspace = "", keys = { key }, source = 1, target = 3 })
    end })
    assert.same({ { key = key, state = "receiving" } }, held "c")
    assert.equal(1, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
    assert.is_true(db:reassign_shard(key, "c").moved)
    assert.same({}, held "c")
    assert.equal(0, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
  end)

  it("nothing is left when programs have moved the same keys", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", nil, NAMES)
    for i = 1, KEYS do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    fixture.together(3, ([[
      local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = false, shards = {
        { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" }, { name = "c", folder .. "/c.db" } } }
      local expected = { CONFLICT = true, MOVED = true, BUSY = true, MAPPING_NOT_FOUND = true }
      math.randomseed(...)
      wait_for_go()
      for i = 1, %d do
        local done, err = pcall(db.reassign_shard, db, "k" .. math.random(%d), ({ "a", "b", "c" })[math.random(3)])
        if not done and not expected[err.code] then error(err) end
      end
      db:close()]]):format(ROUNDS, KEYS))
    for _, name in ipairs(NAMES) do assert.same({}, held(name), name) end
    assert.same({}, fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
    assert.is_true(db:verify().success)
    assert.equal(KEYS, (db:count "users"))
  end)
end)
