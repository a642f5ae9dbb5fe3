-- A rebalance that was run again within a minute of a kill -9 could not move the keys that the dead one had in hand,
-- and sent the user to `verify`, which found nothing.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

local function fill(db)
  db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
  for i = 1, 20 do db:insert("u" .. i, "INSERT INTO users VALUES (?)", { "u" .. i }) end
end

local function to_b() return "b" end

describe("regression 440:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, step in ipairs { "journal", "receive", "send", "copy", "commit", "activate", "publish", "clean" } do
    for _, name in ipairs { "rebalance", "drain" } do
      it(name .. " takes over what a program has left that was killed after " .. step, function()
        local db = fixture.open(fixture.config())
        fill(db)
        local key = fixture.key_on(db, "a")
        if db:first(key, "SELECT id FROM users WHERE id = ?", { key }) == nil then
          db:insert(key, "INSERT INTO users VALUES (?)", { key })
        end
        movers.die(key, step, "a", "b")
        local start = core.now()
        local report = name == "drain" and db:drain "a" or db:rebalance { policy = to_b }
        assert.same({ true, 0 }, { report.success, report.failed_count })
        assert.is_true(core.now() - start < 20000)
        assert.same({ "b" }, fixture.holders({ "a", "b" }, "users", "id", key))
        assert.equal(0, #fixture.rows("a.db", "SELECT * FROM users"))
        assert.equal(0, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
        assert.is_true(db:verify().success)
      end)
    end
  end

  for _, step in ipairs { "receive", "send", "copy", "commit", "activate", "publish" } do
    it("so does a move, in a program that is open, after " .. step, function()
      local db = fixture.open(fixture.config())
      fill(db)
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?) ON CONFLICT DO NOTHING", { key })
      movers.die(key, step, "a", "b")
      db:reassign_shard(key, "b")
      assert.is_true(db:reassign_shard(key, "a").moved)
      assert.same({ "a" }, fixture.holders({ "a", "b" }, "users", "id", key))
      assert.is_true(db:verify().success)
    end)
  end

  it("where only the lease tells it is waited for", function()
    local db = fixture.open(fixture.config())
    fill(db)
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?) ON CONFLICT DO NOTHING", { key })
    movers.die(key, "copy", "a", "b")
    movers.unlock()
    fixture.rows("directory.db", "UPDATE _collegedb_moves SET lease = unixepoch() + 2")
    local told = 0
    local report = db:rebalance { policy = to_b, on_progress = function(_, _, label)
      if label:find "^waiting for a move that is not over, %d+ s at most$" then told = told + 1 end
    end }
    assert.is_true(report.success and told > 0)
    assert.same({ "b" }, fixture.holders({ "a", "b" }, "users", "id", key))
  end)
end)
