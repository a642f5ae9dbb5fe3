-- A transaction that could not be undone for lack of memory is undone before the next statement. Where SQLite itself
-- ended it before that, by an error of shard:size(), the connection went on as if it were still there: all later
-- transactions on it were rolled back.

local starved = require "spec.support.starved"

local SCRIPT <const> = [[
  local core = require "collegedb.core"

  -- Undoing takes memory where the statement for it was made useless.
  local function damage(tx)
    tx:exec "INSERT INTO t VALUES ('x'); ANALYZE"
    error "undo it"
  end

  -- Without memory from the one allocation on, and then for another one of size.
  local function try(of_transaction, of_size)
    local path = os.tmpname()
    os.remove(path)
    local db <close> = collegedb.open { kv = ":memory:", shards = { { name = "a", path } } }
    db:ensure_schema "CREATE TABLE t (id TEXT PRIMARY KEY)"
    local shard = db:shard "a"
    local _, _, count = scarcity.call({ at = of_transaction, of = "sqlite", lasting = true }, shard.transaction, shard,
      damage)
    local other = core.sqlite(path, { busy_timeout_ms = 0 })
    local stuck = not pcall(other.transaction, other, function() end)
    core.close(other)
    local sized, _, size_count = scarcity.call({ at = of_size, of = "sqlite" }, shard.size, shard)
    shard:transaction(function(tx) tx:run "INSERT INTO t VALUES ('y')" end)
    assert(shard:first("SELECT group_concat(id) AS ids FROM t").ids == "y")
    for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
    return stuck, sized, count, size_count
  end

  local _, _, at, of_size = try(0, 0)
  repeat
    local stuck = try(at, 0)
    at = at - 1
  until stuck or at == 0
  local tried = 0
  for k = of_size, 1, -1 do
    local stuck, sized = try(at + 1, k)
    if stuck and not sized then tried = tried + 1 end
    if tried == 25 then break end
  end
  print(tried)]]

it("regression 550: there are transactions after one that was stuck", function()
  assert.equal("25\n", starved.script(SCRIPT))
end)
