-- A program that sent a new key to its new home did not know a table that had been made since, and that had rows of
-- the key at the old one: they were not found any more.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local names = { "a", "b", "c" }
local ADD <const> = "INSERT INTO users VALUES (?, 1)"

-- A key that is at home on c, and was on another shard before.
local function new_key(db)
  for i = 1, 1000 do
    if db:locate("k" .. i) == "c" then return "k" .. i end
  end
end

describe("a table that is made while an old placement counts", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is known to who sends a key to its new home", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    db:add_shard { name = "c", fixture.path "c.db" }
    local key = new_key(db)
    for i = 2000, 2020 do db:insert("k" .. i, ADD, { "k" .. i }) end
    for _, name in ipairs(names) do -- as a program of the old placement does
      local other = core.sqlite(fixture.path(name .. ".db"), {})
      other:exec "CREATE TABLE notes (owner TEXT PRIMARY KEY, n INTEGER)"
      if name ~= "c" then other:run("INSERT INTO notes VALUES (?, 1)", { key }) end
      core.close(other)
    end
    db:insert(key, ADD, { key })
    assert.equal(1, (db:first(key, "SELECT n FROM notes WHERE owner = ?", { key }) or {}).n)
    assert.equal(1, (db:first(key, "SELECT n FROM users WHERE id = ?", { key }) or {}).n)
  end)
end)
