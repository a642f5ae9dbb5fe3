-- A program that had gone to another folder meanwhile had a plan made again for files of that folder.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local lfs = require "lfs"

local ROWS <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
    INSERT INTO users SELECT '%s' || i FROM n]]

describe("regression 085:", function()
  local here
  before_each(function()
    here = lfs.currentdir()
    fixture.start()
  end)
  after_each(function()
    assert(lfs.chdir(here))
    fixture.stop()
  end)

  it("integration in the background goes on with the files that were opened", function()
    fixture.sqlite("a.db", ROWS:format "u")
    assert(lfs.mkdir(fixture.path "elsewhere"))
    fixture.sqlite("elsewhere/a.db", ROWS:format "wrong")
    assert(lfs.chdir(fixture.path ""))
    local config = { kv = "directory.db", auto_migrate = "background", shards = { { name = "a", "a.db" } } }
    local db = fixture.open(config)
    config.auto_migrate = false
    fixture.open(config):rollback "a" -- the plan is void
    assert(lfs.chdir(fixture.path "elsewhere"))
    assert.is_true(db:wait_integration(nil, 30))
    local told = db:integration "a"
    assert.equal("done", told.state, tostring(told.error))
    assert.is_nil(core.file_id "directory.db")
    assert.equal(50000, db:integration_report "a".total_records)
  end)
end)
