-- A loop over a table of D1's whose rows were large failed: a page of a thousand was over the limit of an answer.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"

-- More than an answer may have, packed.
local function large()
  local pipe <close> = assert(io.popen("head -c 70000000 /dev/zero | gzip -c"))
  return faults.answers(200, pipe:read "a", "Content-Encoding: gzip\r\n")
end

describe("a loop over a table of D1's", function()
  before_each(faults.start)
  after_each(faults.stop)

  it("asks for fewer rows at once where they are large", function()
    local path, packed = "/d1/database/x/raw", large()
    local function page(form, ...)
      local rows = {}
      for i, id in ipairs { ... } do rows[i] = form:format(id, id) end
      return faults.answers(200, ('{"success":true,"errors":[],"messages":[],"result":[{"success":true,"meta":{},'
        .. '"results":{"columns":["id","_collegedb_row"],"rows":[%s]}}]}'):format(table.concat(rows, ",")))
    end
    local encoded = '["i%d","i%d"]'
    faults.play_at(path, packed, packed, packed, packed, page("[%d,%d]", 1, 2, 3, 4), page(encoded, 1, 2, 3, 4),
      page(encoded, 5, 6))
    local shard = collegedb.d1({ database = "x", endpoint = faults.origin(), deadline = 5 }):open "x"
    local ids = {}
    for row in shard:each "SELECT id FROM t" do ids[#ids + 1] = row.id end
    assert.same({ 1, 2, 3, 4, 5, 6 }, ids)
    assert.equal(7, faults.count(path))
    core.close(shard)
  end)
end)
