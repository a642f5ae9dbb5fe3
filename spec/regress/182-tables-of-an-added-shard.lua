-- A shard that was added got only the tables that ensure_schema remembers, where there were any; and other programs
-- could use it before it had its tables, for ever if the program that added it died.

local fixture = require "spec.support.fixture"
local schema = require "collegedb.schema"

local USERS <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
local ITEMS <const> = "CREATE TABLE items (id TEXT PRIMARY KEY, n INTEGER)"

local function insert(db, table_name, from, to)
  for i = from, to do
    db:insert("u" .. i, ("INSERT INTO %s VALUES (?, ?)"):format(table_name), { "u" .. i, i })
  end
end

describe("a shard that is added", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("gets the tables that are remembered and the others", function()
    local db = fixture.database(USERS)
    db:ensure_schema "CREATE TABLE notes (id TEXT PRIMARY KEY, n INTEGER)"
    db:ensure_schema "ALTER TABLE notes RENAME COLUMN n TO m"
    db:ensure_schema "INSERT INTO notes VALUES ('seed', 1)"
    db:run_all_shards(ITEMS)
    db:add_shard { name = "c", fixture.path "c.db" }
    for _, name in ipairs { "users", "items", "notes" } do insert(db, name, 1, 60) end
    assert.equal(1, #fixture.rows("c.db", "SELECT m FROM notes WHERE id = 'seed'"))
    db:close()
    db = fixture.open(fixture.config())
    assert.equal(1, #fixture.rows("c.db", "SELECT m FROM notes WHERE id = 'seed'"))
    insert(db, "items", 61, 100)
  end)

  it("gets tables that were made while it was drained and away", function()
    local db = fixture.database(USERS)
    db:add_shard { name = "c", fixture.path "c.db" }
    db:drain "c"
    db:close()
    db = fixture.open(fixture.config())
    db:run_all_shards(ITEMS)
    db:add_shard { name = "c", fixture.path "c.db" }
    insert(db, "items", 1, 60)
    assert.is_true(fixture.rows("c.db", "SELECT count(*) AS n FROM items")[1].n > 5)
  end)

  for _, strategy in ipairs { "hash", "round_robin" } do
    it("is not used before it has its tables, under " .. strategy, function()
      local one = fixture.database(USERS, { strategy = strategy })
      local two = fixture.open(fixture.config { strategy = strategy })
      local add_missing = schema.add_missing
      schema.add_missing = function() error("it dies here", 0) end
      assert.is_false(pcall(one.add_shard, one, { name = "c", fixture.path "c.db" }))
      schema.add_missing = add_missing
      insert(two, "users", 1, 30)
      local three = fixture.open(fixture.config { strategy = strategy })
      insert(three, "users", 31, 60)
      three:add_shard { name = "c", fixture.path "c.db" }
      insert(three, "users", 61, 90)
      insert(two, "users", 91, 120)
      assert.is_true(two:verify().success)
    end)
  end
end)
