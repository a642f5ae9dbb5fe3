-- Control-C while the rules judged conflicts of an integration in the background was taken for their failure, and the
-- program ran on.

local fixture = require "spec.support.fixture"

describe("regression 090:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("an interrupt ends the program also while a report is made", function()
    for _, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", "CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('u')")
    end
    local pipe = fixture.spawn [[
      local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = "background",
        shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } },
        rules = { conflict = function()
          io.popen("kill -INT " .. io.open("/proc/self/stat"):read "n"):close()
          for _ = 1, 1e6 do end
        end } }
      db:wait_integration(nil, 20)
      print "ran on" ]]
    local printed = pipe:read "a"
    pipe:close()
    assert.is_nil(printed:find "ran on")
    assert.matches("interrupted!", printed)
    local db = fixture.open(fixture.config { auto_migrate = "background",
      rules = { conflict = function() return "keep" end } })
    assert.is_true(db:wait_integration(nil, 20))
    assert.equal(1, db:integration_report "b".conflict_count)
  end)
end)
