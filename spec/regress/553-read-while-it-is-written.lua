-- `status` and `doctor` of a user who may only read a file that is not in WAL mode read it without locks: while another
-- program wrote it, they took it for corrupt, or showed what was not committed. And "//data/a.db" could not be read.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("regression 553: a file that is only read", function()
  local path
  before_each(function()
    fixture.start()
    path = os.tmpname()
  end)
  after_each(function()
    for _, ending in ipairs { "", "-wal", "-shm", "-journal" } do os.remove(path .. ending) end
    fixture.stop()
  end)

  local function write(mode)
    local shard = core.sqlite(path, { journal_mode = mode, cache_size = 5 })
    shard:exec [[CREATE TABLE t (id INTEGER PRIMARY KEY, v); WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL
      SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO t SELECT i, randomblob(200) FROM c]]
    return shard
  end

  local function count(name)
    local shard = core.sqlite(name, { must_exist = 1, read_only = true, busy_timeout_ms = 0 })
    local done, row = pcall(shard.first, shard, "SELECT count(*) AS n FROM t")
    core.close(shard)
    return done and row.n or row.code
  end

  it("waits for its writer", function()
    local writer = write "delete"
    assert.has_error(function()
      writer:transaction(function(tx)
        tx:run "DELETE FROM t WHERE id > 10" -- more than the cache holds
        assert.equal("BUSY", select(2, pcall(count, path)).code)
        error("undo it", 0)
      end)
    end, "undo it")
    assert.equal(5000, count(path))
    core.close(writer)
  end)

  for _, mode in ipairs { "delete", "wal" } do
    it("has a path with two slashes, in journal mode " .. mode, function()
      core.close(write(mode))
      assert.equal(5000, count("/" .. path))
    end)
  end
end)
