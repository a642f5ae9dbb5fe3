-- Closing looked at the news of the background first: it planned integrations again, asked the rules about conflicts,
-- and raised what failed there, with the database still open.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local ROWS <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
    INSERT INTO users SELECT 'u' || i FROM n]]

describe("regression 089:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("close asks no rules; the next open does", function()
    for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", ROWS) end
    local asked = 0
    local function config()
      return fixture.config { auto_migrate = "background", rules = { conflict = function()
        asked = asked + 1
        return "keep"
      end } }
    end
    local db = fixture.open(config())
    repeat
      os.execute "sleep 0.02"
      local rows = fixture.rows("directory.db", "SELECT 1 AS yes FROM _collegedb_shards WHERE integrated = 0")
    until #rows == 0
    db:close()
    assert.is_false(core.is_open(db))
    assert.equal(0, asked)
    db = fixture.open(config())
    assert.equal(200, asked)
    assert.equal(200, db:integration_report "b".conflict_count)
  end)

  it("an open that finds a report to make, which another program makes void meanwhile, goes on", function()
    for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", ROWS) end
    local other, asked = nil, 0
    local function config()
      return fixture.config { auto_migrate = "background", rules = { conflict = function()
        asked = asked + 1
        if asked == 1 then other:rollback "b" end
        return "keep"
      end } }
    end
    local db = fixture.open(config())
    repeat
      os.execute "sleep 0.02"
      local rows = fixture.rows("directory.db", "SELECT 1 AS yes FROM _collegedb_shards WHERE integrated = 0")
    until #rows == 0
    db:close()
    other = fixture.open(fixture.config { auto_migrate = false })
    db = fixture.open(config())
    assert.is_true(db:wait_integration(nil, 30))
    assert.equal("done", db:integration "b".state)
    assert.equal(200, db:integration_report "b".conflict_count)
  end)
end)
