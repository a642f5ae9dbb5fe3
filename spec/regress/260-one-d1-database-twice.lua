-- A D1 database that was a shard, or the directory, could be added as a shard under another name while programs ran.

local collegedb = require "collegedb"
local engine = require "spec.support.engine"
local fixture = require "spec.support.fixture"

describe("adding a D1 database that is there already", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local endpoint, names
  setup(function() endpoint, names = engine.start(3) end)
  teardown(function() engine.stop() end)
  before_each(fixture.start)
  after_each(fixture.stop)

  local function d1(i) return collegedb.d1 { database = names[i], endpoint = endpoint } end

  it("is refused", function()
    local config = { kv = d1(1), shards = { { name = "a", d1(2) } } }
    local db = fixture.open(config)
    fixture.raises("CONFIG", "a%) and .* are one database, d1 ", db.add_shard, db, { name = "b", d1(2) })
    fixture.raises("CONFIG", "the directory and .* are one database", db.add_shard, db, { name = "b", d1(1) })
    db:add_shard { name = "b", d1(3) }
    fixture.raises("CONFIG", "are one database", db.add_shard, db, { name = "c", d1(3) })
    assert.same({ "a", "b" }, db:list_known_shards())
    db:close()
    config.shards[2] = { name = "c", d1(3) } -- the directory has added it as b
    fixture.raises("CONFIG", "are one database", collegedb.open, config)
  end)
end)
