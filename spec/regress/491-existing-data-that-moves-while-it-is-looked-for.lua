-- A key of a shard that is not integrated moved to a shard that is not its home, after the router had looked for an
-- entry and before it looked at its rows: it read as not being there, and an UPDATE of it changed nothing.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local probe = require "collegedb.probe"
local router = require "collegedb.router"

local NAMES <const> = { "a", "b", "c" }

describe("regression 491: existing data that moves while it is looked for", function()
  local has_rows = probe.has_rows
  local db, key

  before_each(function()
    fixture.start()
    fixture.sqlite("c.db", [[CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
      WITH numbers (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM numbers WHERE i < 50)
      INSERT INTO users SELECT 'k' || i, 1 FROM numbers]])
    db = fixture.open(fixture.config({ auto_migrate = false }, NAMES))
    db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"
    local other, i = fixture.open(fixture.config({ auto_migrate = false }, NAMES)), 0
    repeat
      i, key = i + 1, "k" .. i + 1
    until router.home(core.state(db), nil, "", key) == 1
    -- It moves between the first look at a shard and the next one.
    function probe.has_rows(state, index, ...)
      if state ~= core.state(db) then return has_rows(state, index, ...) end
      local found = has_rows(state, index, ...)
      probe.has_rows = has_rows
      assert.is_true(other:reassign_shard(key, "b").moved)
      return found
    end
  end)

  after_each(function()
    assert.equal(has_rows, probe.has_rows)
    probe.has_rows = has_rows
    fixture.stop()
  end)

  it("is read", function()
    assert.same({ n = 1 }, db:first(key, "SELECT n FROM users WHERE id = ?", { key }))
  end)

  it("is updated", function()
    assert.equal(1, db:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes)
  end)

  it("is not inserted a second time", function()
    fixture.raises("CONSTRAINT", nil, db.insert, db, key, "INSERT INTO users VALUES (?, 3)", { key })
    assert.same({ "b" }, fixture.holders(NAMES, "users", "id", key))
  end)

  it("is located", function() assert.equal("b", (db:locate(key))) end)
end)
