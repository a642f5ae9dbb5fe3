-- `RETURNING t.id` on D1 gave a column of the name "t.id" where SQLite says "id", and a name without AS was refused.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"

describe("a column that a write returns from D1", function()
  before_each(faults.start)
  after_each(faults.stop)

  it("has the name that it has on SQLite", function()
    local path = "/d1/database/x/raw"
    faults.play_at(path, faults.answers(200, '{"success":true,"errors":[],"messages":[],"result":[{"success":true,'
      .. '"meta":{},"results":{"columns":["id"],"rows":[["i5"]]}}]}'))
    local shard = collegedb.d1({ database = "x", endpoint = faults.origin() }):open "x"
    for returned, name in pairs { ["t.id"] = "`id`", ['"t"."a b"'] = "`a b`", ["id"] = "`id`", ["id i"] = "i",
      ["max(id, 2) \\\"m, n\\\""] = '\\"m, n\\"', ["x IS NULL"] = "`x IS NULL`", ["CASE x WHEN 1 THEN 2 END"] =
      "`CASE x WHEN 1 THEN 2 END`" } do
      shard:all("INSERT INTO t VALUES (5) RETURNING " .. returned:gsub("\\", ""))
      local sent = faults.seen(path)
      assert.is_not_nil(sent:find(" AS " .. name .. '"', 1, true), returned .. ": " .. sent)
    end
    core.close(shard)
  end)
end)
