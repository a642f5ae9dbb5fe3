-- Found by fuzzing: configs that raised Lua's own errors instead of CONFIG.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("regression 462:", function()
  local function refused(field, config)
    local err = fixture.raises("CONFIG", nil, collegedb.open, config)
    assert.equal(field, err.field)
  end

  it("false is no directory, no array of shards, and no shard", function()
    refused("kv", { kv = false, shards = { { name = "a", ":memory:" } } })
    refused("shards", { kv = "memory:", shards = false })
    refused("shards[1].[1]", { kv = "memory:", shards = { { name = "a", false } } })
  end)

  it("shards are an array or a map, not a bit of both", function()
    local shards = { { name = "a", ":memory:" }, "gone", { name = "c", ":memory:" }, x = ":memory:" }
    shards[2] = nil
    local err = fixture.raises("CONFIG", "array of shard tables, or a map", collegedb.open, { kv = "memory:",
      shards = shards })
    assert.matches("^shards%[", err.field)
  end)

  it("a table that only has open is no directory", function()
    refused("kv", { kv = { open = print }, shards = { { name = "a", ":memory:" } } })
  end)
end)
