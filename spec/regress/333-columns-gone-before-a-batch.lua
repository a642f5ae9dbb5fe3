-- A batch failed because of what was known of its columns, and so did the look at them: the names of the statements
-- that were not looked at any more were read where there were none, which ended the program.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local kinds = require "spec.support.kinds"
local net = require "collegedb.net"

describe("regress 333: a batch with columns that are gone", function()
  local worker

  if gateway.skips(it, function(why) pending(why) end) then return end

  setup(function() worker = gateway.start { databases = { "A" } } end)
  teardown(function()
    net.close()
    worker.stop()
  end)
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is refused, and works again when they are there", function()
    local value = collegedb.gateway({ url = worker.url, token = gateway.token, deadline = 10 }):shard "A"
    local shard, other = value:open "one", value:open "other"
    fixture.track { close = function()
      core.close(shard)
      core.close(other)
    end }
    shard:exec "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2)"
    local list = { { "SELECT a, b FROM t" } }
    for i = 1, 20 do list[#list + 1] = { ("SELECT %d AS x%d, a FROM t"):format(i, i) } end
    shard:all(list[1][1])
    other:exec "ALTER TABLE t DROP COLUMN b"
    fixture.raises("SQL", "no such column: b", shard.batch, shard, list)
    fixture.raises("SQL", "no such column: b", shard.all, shard, list[1][1])
    other:exec "ALTER TABLE t ADD COLUMN b DEFAULT 3"
    local results = shard:batch(list)
    assert.same({ { a = 1, b = 3 } }, results[1].results)
    assert.same({ { x20 = 20, a = 1 } }, results[21].results)
    assert.same({ "x20", "a" }, results[21].columns)
  end)
end)

describe("regress 333: a statement of a batch that comes again by itself", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  setup(kinds.gateway.start)
  teardown(kinds.gateway.stop)
  before_each(fixture.start)
  after_each(fixture.stop)

  it("has the columns that it had before", function()
    local shard = kinds.open(kinds.gateway):shard "a"
    local sql = "SELECT 1 AS a, 2 AS b WHERE ? > 0"
    assert.same({ "a", "b" }, shard:batch({ { sql, { 1 } } })[1].columns)
    assert.same({ "a", "b" }, shard:run(sql, { 0 }).columns)
    assert.same({ { a = 1, b = 2 } }, shard:all(sql, { 1 }))
  end)
end)
