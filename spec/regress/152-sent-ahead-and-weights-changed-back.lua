-- A key that was sent ahead and has no rows, while weights are changed and changed back: it is found when nobody
-- remembers any more where it was sent.

local fixture = require "spec.support.fixture"

describe("a key that was sent ahead without rows", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open(weight)
    return fixture.open(fixture.config {
      forward_retention = 0, mapping_cache_ttl = 1, shards = { a = { weight = weight } },
    })
  end

  it("is not lost when weights are changed back", function()
    local db = open(1)
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER CHECK (n > 0))"
    local homes = {}
    for i = 1, 400 do homes[i] = db:locate("k" .. i, "users") end
    local other, key = open(0.05), nil
    for i = 1, 400 do
      local name = "k" .. i
      if i >= 200 and not key and homes[i] == "a" and other:locate(name, "users") == "b" then key = name end
    end
    assert.is_false((pcall(db.insert, db, key, "INSERT INTO users VALUES (?, -1)", { key })))
    other:close()
    local back = open(1)
    db:close()
    assert.is_true(back:rebalance().retired)
    for i = 1, 400 do back:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "k" .. i }) end
    back:close()
    os.execute "sleep 2.1"
    open(1):close() -- forgets where keys were sent
    back = open(1)
    assert.is_false((pcall(back.insert, back, key, "INSERT INTO users VALUES (?, 2)", { key })))
    assert.equal(1, back:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end)
end)
