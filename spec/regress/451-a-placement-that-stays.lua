-- Under a strategy that has no homes the placement of the strategy before it stays, since its keys have no entry.
-- Status, doctor and report said that a rebalance would end that, which it never did.

local config = require "collegedb.config"
local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"
local status = require "collegedb.status"
local view = require "collegedb.status_view"

describe("regression 451:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("nobody is told to rebalance what a rebalance can not end", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for i = 1, 9 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    db:close()
    local given = fixture.config { strategy = "round_robin" }
    fixture.open(given):close()
    local reader = status.new(config.normalize(given))
    local report = reader:read()
    reader:close()
    assert.equal(1, report.directory.retiring)
    assert.is_true(report.directory.stays)
    assert.is_nil(table.concat(view.lines(report, 100), "\n"):find("rebalance", 1, true))
    for _, each in ipairs(doctor.run(given).diagnoses) do
      assert.is_nil((each.what .. (each.mend or "")):find("collegedb rebalance", 1, true))
    end
  end)
end)
