-- A move that is undone takes its fence down. A program that had seen the fence just before failed: "no such table".

local core = require "collegedb.core"
local fence = require "collegedb.fence"
local fixture = require "spec.support.fixture"

describe("regression 122:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a fence may go down after it was seen", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    local is_up = fence.is_up
    fence.is_up = function() return true end -- seen just before it went
    local done, err = pcall(function()
      assert.is_nil(fence.own_row(core.state(db).shards[1].inner, "", key))
      assert.is_true(db:verify().success)
      assert.same({ 0, 0 }, { require("collegedb.moves").numbers(core.state(db)) })
    end)
    fence.is_up = is_up
    assert(done, err)
  end)

  it("moves that fail, and others that look, at once", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, mail TEXT UNIQUE)"
    local first, other = fixture.key_on(db, "a"), fixture.key_on(db, "b")
    db:insert(first, "INSERT INTO users VALUES (?, 'same')", { first })
    db:insert(other, "INSERT INTO users VALUES (?, 'same')", { other })
    local pipe = fixture.spawn([[
      local db = collegedb.open { kv = folder .. "/directory.db", shards = {
        { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      print "ready" io.flush()
      for _ = 1, 25 do
        local done, e = pcall(db.reassign_shard, db, arg[1], "b")
        assert(not done and e.code == "CONFLICT", tostring(e))
      end
      db:close()]], first)
    assert.equal("ready", pipe:read "l")
    local until_ = os.time() + 1
    while os.time() <= until_ do
      db:first(other .. "x", "SELECT 1 FROM users WHERE id = ?", { other .. "x" })
      assert.same({}, db:verify().findings)
    end
    assert.equal("", pipe:read "a")
    assert(pipe:close())
  end)
end)
