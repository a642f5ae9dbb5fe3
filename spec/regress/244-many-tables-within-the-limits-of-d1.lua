-- D1 takes compound SELECTs of five terms and expressions up to a depth of 100. With more than five tables of text keys
-- there was no stats, no rebalance and no drain; with more than a hundred, or with many unique columns, no move.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("a shard with the limits of D1", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open()
    local settings = fixture.config()
    for _, shard in ipairs(settings.shards) do
      shard[1] = collegedb.sqlite(shard[1])
      shard[1].single, shard.limits = true, "d1"
    end
    return fixture.open(settings)
  end

  for _, n in ipairs { 6, 26, 130 } do
    it(("with %d tables is emptied and closed"):format(n), function()
      local db, script = open(), {}
      for i = 1, n do script[i] = ("CREATE TABLE t%d (id TEXT PRIMARY KEY);"):format(i) end
      db:ensure_schema(table.concat(script))
      local keys = {}
      for i = 1, 8 do
        keys[i] = "key" .. i
        db:insert(keys[i], ("INSERT INTO t%d VALUES (?)"):format(i % n + 1), { keys[i] })
        if i % 2 == 0 then db:insert(keys[i], ("INSERT INTO t%d VALUES (?)"):format(n), { keys[i] }) end
      end
      local total = 0
      for _, each in ipairs(db:get_shard_stats()) do total = total + each.count end
      assert.equal(8, total)
      assert.is_true(db:drain("a").sealed)
      for i, key in ipairs(keys) do
        assert.equal("b", (db:locate(key)))
        assert.equal(key, db:first(key, ("SELECT id FROM t%d WHERE id = ?"):format(i % n + 1), { key }).id)
      end
    end)
  end

  it("takes and gives keys of a table with many unique columns", function()
    local db, columns = open(), {}
    for i = 1, 60 do columns[i] = ("c%d UNIQUE"):format(i) end
    db:ensure_schema(("CREATE TABLE t (id TEXT PRIMARY KEY, %s)"):format(table.concat(columns, ", ")))
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO t (id, c1) VALUES (?, 1)", { key })
    assert.is_true(db:reassign_shard(key, "b").moved)
    assert.is_true(db:reassign_shard(key, "a").moved)
    assert.equal(1, db:first(key, "SELECT c1 FROM t WHERE id = ?", { key }).c1)
  end)
end)
