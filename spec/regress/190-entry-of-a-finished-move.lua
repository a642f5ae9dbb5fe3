-- A mover died before it had written the entry of its key, another move of the key from its new place was undone, and
-- the recovery of the first one wrote no entry: the key was found only for as long as its old shard remembered it.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local movers = require "spec.support.movers"

describe("a move that recovery finishes", function()
  local names = { "a", "b", "c" }
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open()
    return fixture.open(fixture.config({ forward_retention = 0, mapping_cache_ttl = 1 }, names))
  end

  it("writes the entry also when a later move has been undone", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", nil, names)
    for i = 1, 300 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
    local key = fixture.key_on(db, "a", 150) -- none of the few that each open looks at, nor are those that came last
    movers.die(key, "activate", "a", "b", names)
    assert.is_false((pcall(move.run, core.state(db), { keyspace = "", keys = { key }, source = 2, target = 3,
      on_step = function(name) if name == "copy" then error("it fails here", 0) end end })))
    for i = 301, 360 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
    db:close()
    movers.expire()
    open():close() -- recovers
    os.execute "sleep 2.1"
    open():close() -- forgets where keys have gone
    db = open()
    assert.equal("b", (db:locate(key)))
    assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    assert.is_true(db:verify().success)
  end)
end)
