-- A config that left out a shard with keys was all well to `doctor`, while those keys raised SHARD_NOT_FOUND.

local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"

describe("doctor", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("names a shard that has keys and is not in the config", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    for i = 1, 30 do db:insert("u" .. i, "INSERT INTO users VALUES (?, 1)", { "u" .. i }) end
    db:close()
    local report = doctor.run(fixture.config(nil, { "a" }))
    assert.is_false(report.success)
    local told = false
    for _, each in ipairs(report.diagnoses) do
      told = told or each.state == "fault" and each.what:find("shard b", 1, true) ~= nil
    end
    assert.is_true(told)
    assert.is_true(doctor.run(fixture.config()).success)
    db = fixture.open(fixture.config())
    assert.is_true(db:drain("b").retired)
    db:close()
    assert.is_true(doctor.run(fixture.config(nil, { "a" })).success)
  end)
end)
