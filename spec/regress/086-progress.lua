-- Progress went back, and was more than its total, where rows were added meanwhile; and where the one who began had not
-- counted, the total was always what was done.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local ROWS <const> = [[CREATE TABLE teams (id TEXT PRIMARY KEY); CREATE TABLE users (id TEXT PRIMARY KEY);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
    INSERT INTO teams SELECT 't' || i FROM n;
  INSERT INTO users SELECT 'u' || id FROM teams]]

describe("regression 086:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function checker()
    local last = 0
    return function(done, total)
      assert(done >= last, ("%d after %d"):format(done, last))
      assert(done <= total, ("%d of %d"):format(done, total))
      last = done
    end
  end

  it("progress in the background only goes on, also when rows are added", function()
    fixture.sqlite("a.db", ROWS:format(20000))
    local writer = core.sqlite(fixture.path "a.db", { journal_mode = "wal" })
    local db = fixture.open(fixture.config({ auto_migrate = "background" }, { "a" }))
    local check, i = checker(), 0
    repeat
      i = i + 1
      writer:run([[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
        INSERT INTO teams SELECT 'z' || ?1 || '/' || i FROM n]], { i })
      local told = db:integration "a"
      if told.total > 0 then check(told.done, told.total) end
    until db:wait_integration(nil, 0)
    check(db:integration("a").done, db:integration("a").total)
    core.close(writer)
  end)

  it("progress of db:integrate only goes on, also when rows are added", function()
    fixture.sqlite("a.db", ROWS:format(300))
    local db = fixture.open(fixture.config({ auto_migrate = false }, { "a" }))
    local check, i = checker(), 0
    db:integrate("a", { page = 10, on_progress = function(done, total)
      check(done, total)
      i = i + 1
      db:shard "a":run("INSERT INTO teams VALUES (?)", { "z" .. i })
    end })
    assert.is_true(i > 20)
  end)

  it("progress of one that goes on where nobody had counted has a total", function()
    fixture.sqlite("a.db", ROWS:format(20000))
    local db = fixture.open(fixture.config({ auto_migrate = "background" }, { "a" }))
    while db:integration "a".done == 0 do db:wait_integration(nil, 0.001) end
    db:stop_integration()
    local seen = {}
    db:integrate("a", { resume = true, page = 2000, on_progress = function(_, total) seen[total] = true end })
    assert.same({ [40000] = true }, seen)
  end)
end)
