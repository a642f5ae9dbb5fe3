-- A key went from its home to another shard, and was deleted there. When the first was its home again, a new row of
-- it followed what was remembered to the other shard; once that was forgotten, after forward_retention, it was not
-- found any more.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local extra = { forward_retention = 0, mapping_cache_ttl = 1 }

local function add_keys(db, letter, count)
  for i = 1, count do
    local key = letter .. i
    db:insert(key, "INSERT INTO users VALUES (?, ?)", { key, i })
  end
end

-- Keys that were moved away from their home a, and deleted.
local function gone_from_home(db)
  local keys = {}
  add_keys(db, "m", 60)
  for i = 1, 60 do
    if db:locate("m" .. i) == "a" then keys[#keys + 1] = "m" .. i end
  end
  assert.is_true(db:drain("a").sealed)
  for _, key in ipairs(keys) do db:delete_by_primary_key(key, "DELETE FROM users WHERE id = ?", { key }) end
  db:add_shard { name = "a", fixture.path "a.db" }
  assert.is_true(db:rebalance().retired)
  return keys
end

describe("a key that was moved from its home, deleted, and comes again", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is found also when it is forgotten where it went", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", extra, { "a", "b", "c" })
    local keys = gone_from_home(db)
    for i, key in ipairs(keys) do
      local function add(to) to:run("INSERT INTO users VALUES (?, 7)", { key }) end
      if i % 2 == 0 then db:transaction(key, add)
      else db:insert(key, "INSERT INTO users VALUES (?, 7)", { key }) end
    end
    -- An open looks at some rows, not at these.
    for _, letter in ipairs { "a", "z", "l" } do add_keys(db, letter, 60) end
    for _ = 1, 25 do core.pause(100) end
    fixture.open(fixture.config(extra, { "a", "b", "c" }))
    db:flush_cache()
    for _, key in ipairs(keys) do
      assert.equal(7, (db:first(key, "SELECT n FROM users WHERE id = ?", { key }) or {}).n)
      fixture.raises("CONSTRAINT", nil, db.insert, db, key, "INSERT INTO users VALUES (?, 0)", { key })
    end
    assert.is_true(db:verify().success)
  end)
end)
