-- Paths of a config are relative to the folder in which the program was started. After it had gone to another one, its
-- health said that the files were gone, and the sum over all programs had only itself.

local fixture = require "spec.support.fixture"
local lfs = require "lfs"

describe("regression 391:", function()
  local folder = lfs.currentdir()
  before_each(fixture.start)
  after_each(function()
    lfs.chdir(folder)
    fixture.stop()
  end)

  it("health and statistics are right in another folder", function()
    fixture.open(fixture.config { statistics_dir = fixture.path "stats" })
    lfs.chdir(fixture.path ".")
    local db = fixture.open { kv = fixture.path "directory.db", statistics_dir = "stats",
      shards = { { name = "a", "a.db" }, { name = "b", "b.db" } } }
    lfs.chdir "/"
    assert.equal(2, db:statistics({ all = true }).programs)
    assert.is_true(db:health().a.reachable)
    os.remove(fixture.path "a.db")
    assert.is_false(db:health().a.reachable)
    os.remove(fixture.path "a.db-wal")
    os.remove(fixture.path "a.db-shm")
  end)
end)
