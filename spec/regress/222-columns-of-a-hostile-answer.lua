-- An answer with more columns than D1 has, or with none where one more was asked for, wrote past the end of memory.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"

local function answer(columns, rows)
  return faults.answers(200, ('{"success":true,"errors":[],"messages":[],"result":[{"success":true,"meta":{},'
    .. '"results":{"columns":[%s],"rows":[%s]}}]}'):format(columns, rows))
end

local function list(count)
  local texts = {}
  for i = 1, count do texts[i] = ('"c%d"'):format(i) end
  return table.concat(texts, ",")
end

describe("a D1 shard", function()
  local path = "/d1/database/x/raw"
  local shard

  before_each(function()
    faults.start()
    shard = collegedb.d1({ database = "x", endpoint = faults.origin(), deadline = 2 }):open "x"
  end)
  after_each(function()
    core.close(shard)
    faults.stop()
  end)

  it("refuses an answer with too many columns", function()
    local row = "[" .. list(400) .. "]"
    faults.play_at(path, answer(list(400), row .. "," .. row))
    for _ = 1, 2 do fixture.raises("UNAVAILABLE", "400 columns", shard.first, shard, "SELECT * FROM t") end
    fixture.raises("OUTCOME_UNKNOWN", "400 columns", shard.run, shard, "DELETE FROM t RETURNING id")
  end)

  it("takes as many as D1 has", function()
    local row = "[" .. list(100) .. "]"
    faults.play_at(path, answer(list(100), row .. "," .. row))
    assert.equal("c100", shard:first("SELECT * FROM t").c100)
  end)

  it("refuses a page without its columns", function()
    local function read()
      for _ in shard:each "SELECT id FROM t" do error "no row was to come" end
    end
    faults.play_at(path, answer("", "[]"), answer('"_collegedb_row"', '["i5"]'))
    fixture.raises("UNAVAILABLE", "0 columns", read)
    fixture.raises("UNSUPPORTED", nil, read)
  end)
end)
