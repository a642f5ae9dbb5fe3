-- A string with capitals that named no table (db:transaction, db:locate, db:reassign_shard, a view) was taken as it was
-- written, where the key column compares NOCASE: a transaction wrote rows where nobody looked for them, and a move took
-- them there. Moving a key of another table, which does not compare NOCASE, took rows of a NOCASE table along.

local fixture = require "spec.support.fixture"

local NOCASE <const> = [[
  CREATE TABLE customers (email TEXT COLLATE NOCASE PRIMARY KEY, n INTEGER);
  CREATE VIEW everybody AS SELECT * FROM customers;]]
local ORDERS <const> = NOCASE .. [[
  CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT COLLATE NOCASE REFERENCES customers ON DELETE CASCADE);]]
local MIXED <const> = NOCASE .. "CREATE TABLE sessions (id TEXT PRIMARY KEY, n INTEGER);"

local function other(shard) return shard == "a" and "b" or "a" end

describe("regress: a NOCASE key without a table", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "hash", "round_robin" } do
    for what, schema in pairs { alone = NOCASE, ["with orders"] = ORDERS } do
      it(("is one key in all calls: %s, %s"):format(strategy, what), function()
        local db = fixture.database(schema, { strategy = strategy })
        for i = 1, 12 do
          local key = "Ada@" .. i
          db:transaction(key, function(tx) tx:run("INSERT INTO customers VALUES (?, 0)", { key }) end)
          local at = db:locate(key:lower())
          assert.equal(at, (db:locate(key)))
          assert.equal(at, (db:locate(key, "customers")))
          assert.is_true(db:reassign_shard(key, other(at)).moved)
          assert.equal(other(at), (db:locate(key, "customers")))
          assert.equal(1, db:run(key, "UPDATE customers SET n = 1 WHERE email = ?", { key }).meta.changes)
          assert.equal(1, db:first(key:upper(), "SELECT n FROM everybody WHERE email = ?", { key }).n)
          db:transaction(key, function(tx) assert.equal(1, tx:first("SELECT n FROM customers").n) end)
        end
        assert.same({}, db:verify().findings)
      end)
    end
  end

  it("leaves the own keys of rows in its groups as they are", function()
    local db = fixture.database(ORDERS)
    db:insert("Ada", "INSERT INTO customers VALUES ('Ada', 0)")
    db:insert("Ada", "INSERT INTO orders VALUES ('O-1', 'Ada')")
    local at = db:locate "Ada"
    assert.equal(at, (db:locate "O-1"))
    db:transaction("O-1", function(tx) assert.equal("Ada", tx:first("SELECT customer FROM orders").customer) end)
    assert.equal(2, db:reassign_shard("O-1", other(at)).rows)
    assert.equal(other(at), (db:locate "ADA"))
    assert.equal(other(at), (db:locate "O-1"))
  end)

  it("is refused where it could be of a table that does not compare so", function()
    local db = fixture.database(MIXED)
    for i = 1, 6 do
      local key = "Ada@" .. i
      db:insert(key, "INSERT INTO customers VALUES (?, 0)", { key })
      db:insert(key, "INSERT INTO sessions VALUES (?, 0)", { key })
      for _, call in ipairs {
        function() db:transaction(key, function() end) end,
        function() db:reassign_shard(key, "a") end,
        function() db:first(key, "SELECT * FROM everybody WHERE email = ?", { key }) end,
      } do
        assert.error_matches(call, "USAGE: the key .*Ada@%d.* could be of .* NOCASE.* db:key%(table")
      end
      assert.equal(db:locate(key, "sessions"), (db:locate(key)))
      db:transaction(db:key("customers", key), function(tx)
        assert.equal(1, tx:run("UPDATE customers SET n = 1 WHERE email = ?", { key }).meta.changes)
      end)
      db:reassign_shard(key, other(db:locate(key, "sessions")), "sessions")
      assert.is_table(db:first(key, "SELECT * FROM sessions WHERE id = ?", { key }))
      assert.is_table(db:first(key, "SELECT * FROM customers WHERE email = ?", { key }))
      db:reassign_shard(key, other(db:locate(key, "customers")), "customers")
      assert.is_table(db:first(key, "SELECT * FROM sessions WHERE id = ?", { key }))
      assert.is_table(db:first(key, "SELECT * FROM customers WHERE email = ?", { key }))
    end
    assert.same({}, db:verify().findings)
  end)
end)
