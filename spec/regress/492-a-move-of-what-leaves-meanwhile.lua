-- A key that left between two looks at its shard could not be moved: it was said to have no rows and no entry, or,
-- asked for by the key of a row inside its group, to belong to no group.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local group = require "collegedb.group"
local probe = require "collegedb.probe"

local NAMES <const> = { "a", "b", "c" }

describe("regression 492: a key that leaves while it is looked for, to be moved", function()
  local has, of_row = probe.has, group.of_row
  local db, other, key

  before_each(function()
    fixture.start()
    db = fixture.database([[CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE orders (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE)]], nil, NAMES)
    other = fixture.open(fixture.config(nil, NAMES))
    key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    db:insert(key, "INSERT INTO orders VALUES ('o1', ?)", { key })
  end)

  after_each(function()
    probe.has, group.of_row = has, of_row
    fixture.stop()
  end)

  it("is moved, by its own key", function()
    local looks = 0 -- the second one is after the router's
    function probe.has(state, ...)
      if state == core.state(db) then looks = looks + 1 end
      if state ~= core.state(db) or looks < 2 then return has(state, ...) end
      probe.has = has
      other:reassign_shard(key, "b")
      return has(state, ...)
    end
    assert.same({ moved = true, from = "b", to = "c", rows = 2 }, db:reassign_shard(key, "c"))
    assert.equal(has, probe.has)
    assert.same({ "c" }, fixture.holders(NAMES, "orders", "user_id", key))
  end)

  it("is moved, by the key of a row inside", function()
    function group.of_row(state, ...)
      if state ~= core.state(db) then return of_row(state, ...) end
      group.of_row = of_row
      other:reassign_shard(key, "b")
      return of_row(state, ...)
    end
    assert.same({ moved = true, from = "b", to = "c", rows = 2 }, db:reassign_shard("o1", "c"))
    assert.equal(of_row, group.of_row)
    assert.same({ "c" }, fixture.holders(NAMES, "orders", "user_id", key))
  end)
end)
