-- While the directory has no entries, a key that the cache does not know is placed without asking it: the header of its
-- WAL index tells that nobody has written. What others write is seen by the next call all the same.

local fixture = require "spec.support.fixture"

local SCHEMA <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, n)"
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"

-- A program of its own: inserts the key, moves it to the shard, and deletes its row. Its entry stays.
local ELSEWHERE <const> = [[
  local db = collegedb.open { kv = folder .. "/directory.db",
    shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
  local key, shard = arg[1], arg[2]
  db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
  db:reassign_shard(key, shard)
  db:delete_by_primary_key(key, "DELETE FROM users WHERE id = ?", { key })
  db:close()
]]

local function entries() return fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n end

describe("an empty directory", function()
  local db

  before_each(function()
    fixture.start()
    db = fixture.database(SCHEMA)
    for i = 1, 20 do db:insert("before" .. i, INSERT, { "before" .. i }) end
  end)
  after_each(fixture.stop)

  -- A key whose home is a, which this program has not asked for.
  local function key_of_a(name)
    local other = fixture.open(fixture.config())
    local i = 1
    while other:locate(name .. i) ~= "a" do i = i + 1 end
    other:close()
    return name .. i
  end

  local function holders(key) return fixture.holders({ "a", "b" }, "users", "id", key) end

  local function move_elsewhere(key, shard)
    local pipe = fixture.spawn(ELSEWHERE, key, shard)
    assert.equal("", pipe:read "a")
    assert(pipe:close())
  end

  it("writes no entries, and puts each key at its home", function()
    assert.equal(0, entries())
    local other = fixture.open(fixture.config())
    for i = 1, 20 do assert.same({ (other:locate("before" .. i)) }, holders("before" .. i)) end
  end)

  it("is asked again once another process has made an entry", function()
    local key = key_of_a "x"
    move_elsewhere(key, "b")
    assert.equal(1, entries())
    db:insert(key, INSERT, { key })
    assert.same({ "b" }, holders(key))
    assert.equal(1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end)

  it("is asked again once another database of this program has made one", function()
    local key, other = key_of_a "y", fixture.open(fixture.config())
    other:insert(key, INSERT, { key })
    other:reassign_shard(key, "b")
    other:delete_by_primary_key(key, "DELETE FROM users WHERE id = ?", { key })
    db:insert(key, INSERT, { key })
    assert.same({ "b" }, holders(key))
  end)

  it("is asked again once this database has made one", function()
    local moved, key = key_of_a "m", key_of_a "k"
    db:insert(moved, INSERT, { moved })
    db:reassign_shard(moved, "b")
    db:delete_by_primary_key(moved, "DELETE FROM users WHERE id = ?", { moved })
    db:insert(key, INSERT, { key })
    db:insert(moved, INSERT, { moved })
    assert.same({ "a" }, holders(key))
    assert.same({ "b" }, holders(moved))
  end)

  it("takes part when a shard is added, from one call to the next", function()
    local other = fixture.open(fixture.config())
    other:add_shard { name = "c", fixture.path "c.db" }
    local on_c = 0
    for i = 1, 60 do
      local key = "later" .. i
      db:insert(key, INSERT, { key })
      local at = fixture.holders({ "a", "b", "c" }, "users", "id", key)
      assert.equal(1, #at, key)
      assert.equal(at[1], (other:locate(key)))
      if at[1] == "c" then on_c = on_c + 1 end
    end
    assert.is_true(on_c > 0)
  end)

  it("is asked by statements where its file has no WAL", function()
    db:close()
    fixture.sqlite("directory.db", "PRAGMA journal_mode = delete")
    db = fixture.open(fixture.config())
    local key = key_of_a "z"
    db:insert("one", INSERT, { "one" })
    move_elsewhere(key, "b")
    db:insert(key, INSERT, { key })
    assert.same({ "b" }, holders(key))
    assert.is_nil(io.open(fixture.path "directory.db-shm"))
  end)

  it("may be checkpointed, and its log begun anew, by others", function()
    fixture.rows("directory.db", "PRAGMA wal_checkpoint(TRUNCATE)")
    db:insert("after", INSERT, { "after" })
    local key = key_of_a "w"
    move_elsewhere(key, "b")
    fixture.rows("directory.db", "PRAGMA wal_checkpoint(RESTART)")
    db:insert(key, INSERT, { key })
    assert.same({ "b" }, holders(key))
  end)
end)
