-- A shard that was added while the others were asked for their health was told to be well, though nobody had asked it.
-- And the metrics took Ctrl-C for a size that can not be had.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 390:", function()
  local together, size = core.together, core.shard_methods.size
  before_each(fixture.start)
  after_each(function()
    core.together, core.shard_methods.size = together, size
    fixture.stop()
  end)

  it("health tells of the shards that were asked", function()
    local db = fixture.open(fixture.config())
    core.together = function(...)
      core.together = together
      db:add_shard { name = "c", fixture.path "c.db" }
      return together(...)
    end
    for name, shard in pairs(db:health()) do assert.is_true(shard.reachable and shard.latency ~= nil, name) end
    assert.is_true(db:health().c.latency > 0)
  end)

  it("an interrupt ends the metrics", function()
    local db = fixture.open(fixture.config())
    core.shard_methods.size = function() error("interrupted!", 0) end
    assert.same({ false, "interrupted!" }, { pcall(db.metrics, db) })
  end)
end)
