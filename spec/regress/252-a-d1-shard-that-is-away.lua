-- A D1 shard that could not be reached kept statements from keys on other shards, whenever the schemas were looked at.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local engine = require "spec.support.engine"
local far_schema = require "collegedb.far_schema"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"

describe("a D1 shard that is away", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  it("keeps nobody from the keys of others", function()
    local endpoint, names = engine.start(2)
    local lately = far_schema.lately
    fixture.start()
    faults.start()
    local through = faults.stand_before(endpoint)
    local function d1(i, at) return collegedb.d1 { database = names[i], endpoint = at, deadline = 1 } end
    local db = fixture.open { kv = "memory:", auto_migrate = true,
      shards = { { name = "far", d1(1, through) }, { name = "near", d1(2, endpoint) }, { name = "file", ":memory:" } } }
    db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"
    local keys = {}
    for _, name in ipairs { "far", "near", "file" } do
      keys[name] = fixture.key_on(db, name)
      db:run(keys[name], "INSERT INTO users VALUES (?, 1)", { keys[name] })
    end
    faults.network { times = 100000 }
    far_schema.lately = 1
    db:shard("file"):exec "CREATE TABLE more (id TEXT PRIMARY KEY)"
    local began = core.now()
    for i = 1, 20 do
      for _, name in ipairs { "near", "file" } do
        db:run(keys[name], "UPDATE users SET n = n + 1 WHERE id = ?", { keys[name] })
        assert.equal(i + 1, db:first(keys[name], "SELECT n FROM users WHERE id = ?", { keys[name] }).n)
        assert.is_nil(db:first(keys.file, ("SELECT id FROM %s WHERE id = ? AND %d"):format("more", i), { keys.file }))
      end
      core.pause(2)
    end
    assert(core.now() - began < 10000, core.now() - began)
    fixture.raises("UNAVAILABLE", nil, db.first, db, keys.far, "SELECT n FROM users WHERE id = ?", { keys.far })
    far_schema.lately = lately
    faults.stop() -- the other ends of connections are open in this process too
    fixture.stop()
    engine.stop()
  end)
end)
