-- Existing databases with long keys that are on both of them could not be taken over into a directory without
-- transactions: a page of such conflicts was more than one statement may say.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("taking over long keys that are on two shards", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("takes them in smaller pages", function()
    local settings = fixture.config()
    for _, shard in ipairs(settings.shards) do
      fixture.sqlite(shard.name .. ".db", [[CREATE TABLE users (id TEXT PRIMARY KEY); WITH RECURSIVE n (i) AS
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO users SELECT printf('%0500d', i) FROM n]])
    end
    settings.kv, settings.auto_migrate = fixture.single "directory.db", true
    settings.rules = { conflict = function() return "keep" end }
    local db = fixture.open(settings)
    local reports = core.state(db).reports
    assert.same({ 3000, 3000 }, { reports.a.total_records, reports.b.total_records })
    assert.is_true(reports.a.success and reports.b.success)
    assert.equal(3000, db:verify().kept)
  end)
end)
