-- A program that had seen no fence on a shard, and then looped over the rows of a key that had left it meanwhile, found
-- none: the loop did not see what its first step told, as other reads do.

local fixture = require "spec.support.fixture"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"
local SQL <const> = "SELECT id, n FROM users WHERE id = ?"

describe("regression 483:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function rows_of(db, key)
    local rows = {}
    for row in db:each(key, SQL, { key }) do rows[#rows + 1] = row end
    return rows
  end

  for _, mode in ipairs { "wal", "delete" } do
    it("each finds the rows where they are now, in journal mode " .. mode, function()
      local extra = { shards = { a = { journal_mode = mode }, b = { journal_mode = mode } } }
      local db = fixture.database(SCHEMA, extra)
      local stale = fixture.open(fixture.config(extra))
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      for _ = 1, 2 do
        assert.is_nil(stale:first("nobody" .. key, SQL, { "nobody" .. key }))
        assert.same({ { id = key, n = 1 } }, rows_of(stale, key))
      end
      assert.is_nil(stale:first(key, SQL, { "other" })) -- nothing has left, as far as it knows
      assert.is_true(db:reassign_shard(key, "b").moved)
      assert.same({ { id = key, n = 1 } }, rows_of(stale, key))
      assert.same({}, rows_of(stale, "nobody"))
    end)
  end

  it("a loop whose statement fails says so", function()
    local db = fixture.database(SCHEMA)
    local key = fixture.key_on(db, "a")
    assert.is_nil(db:first(key, SQL, { key }))
    fixture.raises("SQL", "integer overflow", function()
      for _ in db:each(key, "SELECT abs(-9223372036854775807 - 1) AS n FROM (SELECT 1) WHERE 'x' <> ?", { key }) do
        assert(false)
      end
    end)
  end)
end)
