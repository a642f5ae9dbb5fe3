-- `collegedb report` wrote the statements by which it verified rows to the programs' slow_query_log.

local fixture = require "spec.support.fixture"
local report = require "collegedb.report"

describe("regression 400:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a report leaves the log of slow statements alone", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for i = 1, 50 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    db:close()
    local given = fixture.config { slow_query = 1e-6, slow_query_log = fixture.path "slow.log" }
    assert.equal(0, #report.collect(given).verify.findings)
    assert.is_nil(fixture.bytes "slow.log")
  end)
end)
