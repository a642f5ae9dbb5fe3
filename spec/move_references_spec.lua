-- Foreign keys that point from one shard to another after a move: counted, or refused where SQLite enforces them.

local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[
CREATE TABLE countries (code TEXT PRIMARY KEY);
CREATE TABLE users (id TEXT PRIMARY KEY, country TEXT REFERENCES countries, boss TEXT REFERENCES users);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE);
CREATE TABLE notes (id TEXT PRIMARY KEY, about TEXT REFERENCES users (id), a INTEGER REFERENCES orders);]]

-- Two users on shard a, of whom the first is the other's boss; a note about the first; three orders each.
local function start()
  local db = fixture.database(SCHEMA)
  local first, second = fixture.key_on(db, "a", 1), fixture.key_on(db, "a", 100)
  local shard = db:shard "a"
  for _, name in ipairs { "a", "b" } do db:shard(name):run "INSERT INTO countries VALUES ('de')" end
  shard:run "INSERT INTO countries VALUES ('fr')"
  shard:run("INSERT INTO users VALUES (?, 'de', NULL), (?, 'fr', ?)", { first, second, first })
  for i = 1, 6 do shard:run("INSERT INTO orders VALUES (?, ?)", { i, i <= 3 and first or second }) end
  shard:run("INSERT INTO notes VALUES ('n', ?, 1), ('m', ?, NULL)", { first, first })
  return db, first, second
end

local function sorted(list)
  table.sort(list, function(a, b) return a.table .. a.columns[1] < b.table .. b.columns[1] end)
  return list
end

describe("foreign keys across shards", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("are counted when they come in: of tables outside of the group, and of other groups", function()
    local db, first = start()
    local report = db:reassign_shard(first, "b")
    assert.same({
      { table = "notes", columns = { "a" }, parent = "orders", rows = 1 },
      { table = "notes", columns = { "about" }, parent = "users", rows = 2 },
      { table = "users", columns = { "boss" }, parent = "users", rows = 1 },
    }, sorted(report.dangling))
    assert.equal(4, report.rows)
  end)

  it("are counted when they go out, where the target has not the row, too", function()
    local db, first, second = start()
    assert.same({
      { table = "users", columns = { "boss" }, parent = "users", rows = 1 },
      { table = "users", columns = { "country" }, parent = "countries", rows = 1 },
    }, sorted(db:reassign_shard(second, "b").dangling))
    assert.is_nil(db:reassign_shard(second, "a").dangling)
    db:shard("a"):run "DELETE FROM notes"
    db:shard("a"):run("UPDATE users SET boss = NULL")
    assert.is_nil(db:reassign_shard(first, "b").dangling)
  end)

  it("are no fault of the move when they pointed nowhere before", function()
    local db, _, second = start()
    db:shard("a"):run("UPDATE users SET boss = 'nobody', country = NULL WHERE id = ?", { second })
    assert.is_nil(db:reassign_shard(second, "b").dangling)
  end)

  it("forbid the move where they are enforced, in either direction", function()
    local db, first, second = start()
    for _, name in ipairs { "a", "b" } do db:shard(name):exec "PRAGMA foreign_keys = ON" end
    fixture.raises("CONSTRAINT", "4 foreign keys", db.reassign_shard, db, first, "b")
    fixture.raises("CONSTRAINT", "2 foreign keys", db.reassign_shard, db, second, "b")
    assert.equal(6, #fixture.rows("a.db", "SELECT * FROM orders"))
    db:shard("b"):run "INSERT INTO countries VALUES ('fr')"
    db:shard("a"):run("UPDATE users SET boss = NULL")
    assert.is_true(db:reassign_shard(second, "b").moved)
    assert.equal(0, #fixture.rows("b.db", "PRAGMA foreign_key_check"))
  end)
end)
