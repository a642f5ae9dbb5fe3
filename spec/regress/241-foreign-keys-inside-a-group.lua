-- At a source whose foreign keys are always enforced, as D1's are, the rows of a committed move could not be deleted
-- when they refer to one another ON DELETE RESTRICT, SET NULL or SET DEFAULT: both shards kept them, the caller got
-- MOVED or CONSTRAINT, and from when the lease was over every open failed.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local function open()
  local settings = fixture.config()
  for _, shard in ipairs(settings.shards) do
    shard[1] = collegedb.sqlite(shard[1])
    shard[1].single = true
  end
  local db = fixture.open(settings)
  for _, name in ipairs { "a", "b" } do db:shard(name):run "PRAGMA foreign_keys = ON" end
  return db
end

local TABLES <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY);
  CREATE TABLE %s (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE);
  CREATE TABLE %s (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE,
    other INTEGER REFERENCES %s ON DELETE %s);]]

local TREE <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY);
  CREATE TABLE notes (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE,
    other INTEGER REFERENCES notes ON DELETE %s);]]

describe("a group whose rows refer to one another", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function moves(db, key, child)
    assert.is_true(db:reassign_shard(key, "b").moved)
    assert.equal(1, db:first(key, ("SELECT other FROM %s WHERE id = 2"):format(child)).other)
    assert.same({ { n = 0 } }, fixture.rows("a.db", ("SELECT count(*) AS n FROM %s"):format(child)))
    assert.same({}, db:verify().findings)
    assert.is_true(db:reassign_shard(key, "a").moved)
    assert.equal(1, db:first(key, ("SELECT other FROM %s WHERE id = 2"):format(child)).other)
  end

  for _, action in ipairs { "RESTRICT", "SET NULL", "SET DEFAULT", "CASCADE", "NO ACTION" } do
    for _, child in ipairs { "items", "products" } do
      it(("moves from where these are enforced: %s, of %s"):format(action, child), function()
        local db, parent = open(), child == "items" and "products" or "items"
        for _, name in ipairs { "a", "b" } do db:shard(name):exec(TABLES:format(parent, child, parent, action)) end
        local key = fixture.key_on(db, "a")
        db:insert(key, "INSERT INTO users VALUES (?)", { key })
        db:insert(key, ("INSERT INTO %s VALUES (1, ?)"):format(parent), { key })
        db:insert(key, ("INSERT INTO %s VALUES (2, ?, 1)"):format(child), { key })
        moves(db, key, child)
      end)
    end
  end

  local function plant(action)
    local db = open()
    for _, name in ipairs { "a", "b" } do db:shard(name):exec(TREE:format(action)) end
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    db:insert(key, "INSERT INTO notes VALUES (1, ?1, NULL), (2, ?1, 1), (3, ?1, 2)", { key })
    return db, key
  end

  for _, action in ipairs { "SET NULL", "CASCADE", "NO ACTION" } do
    it("moves with a tree of rows: " .. action, function()
      local db, key = plant(action)
      moves(db, key, "notes")
    end)
  end

  it("stays whole when its rows could not be deleted in any order", function()
    local db, key = plant "RESTRICT"
    fixture.raises("CONSTRAINT", "refer to one another", db.reassign_shard, db, key, "b")
    assert.equal("a", (db:locate(key)))
    assert.equal(1, db:run(key, "UPDATE notes SET other = NULL WHERE id = 2").meta.changes)
    db:run(key, "UPDATE notes SET other = NULL WHERE id = 3")
    assert.is_true(db:reassign_shard(key, "b").moved)
  end)
end)
