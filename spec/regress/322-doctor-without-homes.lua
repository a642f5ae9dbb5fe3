-- With a strategy that computes no homes, doctor broke off with an error of Lua's.

local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"

describe("doctor", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("examines a database whose strategy has no homes", function()
    local config = fixture.config { strategy = "round_robin" }
    local db = fixture.open(config)
    db:ensure_schema "CREATE TABLE t (k TEXT PRIMARY KEY)"
    db:insert("a", "INSERT INTO t VALUES ('a')")
    db:close()
    assert.is_true(doctor.run(config).success)
  end)
end)
