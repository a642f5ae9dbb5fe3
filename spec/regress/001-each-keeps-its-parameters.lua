-- The loop over each changed its params table, and the statement read freed memory.

local fixture = require "spec.support.fixture"

describe("regression 001:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("each keeps its parameters", function()
    local db = fixture.database("CREATE TABLE t (k)", nil, { "a" })
    db:shard("a"):exec "INSERT INTO t VALUES (1), (2), (3)"
    -- Long strings are objects of their own: only params holds this one.
    local function text() return ("x"):rep(60) end
    local params = { text() }
    for row in db:each("k", "SELECT ?1 AS v, k FROM t", params) do
      params[1] = nil
      collectgarbage()
      for i = 1, 1000 do assert.is_string(("y"):rep(60) .. i) end
      assert.equal(text(), row.v)
    end
  end)
end)
