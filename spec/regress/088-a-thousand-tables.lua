-- With a thousand tables of string keys on a shard, keys were not found in it, and it could not be integrated.

local fixture = require "spec.support.fixture"

describe("regression 088:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("keys are looked for in more than a thousand tables", function()
    local script = { "BEGIN" }
    for i = 1, 1100 do script[#script + 1] = ("CREATE TABLE t%d (k TEXT PRIMARY KEY)"):format(i) end
    script[#script + 1] = "INSERT INTO t7 VALUES ('%s7'); INSERT INTO t1100 VALUES ('%s1100'); COMMIT"
    script = table.concat(script, ";")
    for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", (script:gsub("%%s", name))) end
    local db = fixture.open(fixture.config { auto_migrate = false })
    for _, name in ipairs { "a", "b" } do
      local key = name .. "1100"
      assert.same({ k = key }, db:first(key, "SELECT k FROM t1100 WHERE k = ?", { key }))
    end
    db:integrate("a", { tables = { "t7", "t1100" } })
    assert.equal(2, db:integrate("b", { tables = { "t7", "t1100" } }).total_records)
  end)
end)
