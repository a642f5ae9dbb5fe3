-- A bare integer without a statement was refused where a second table only refers to the keys of the first.

local fixture = require "spec.support.fixture"

describe("regression 069:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("an integer is of the one table that such keys are of", function()
    local db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);
      CREATE TABLE items (order_id INTEGER REFERENCES orders ON DELETE CASCADE, n INTEGER, PRIMARY KEY (order_id, n))]]
    db:insert("u1", "INSERT INTO users VALUES ('u1')")
    db:insert("u1", "INSERT INTO orders VALUES (17, 'u1')")
    assert.same(fixture.holders({ "a", "b" }, "users", "id", "u1"), { (db:locate(17)) })
    db:transaction(17, function(tx) tx:run "INSERT INTO items VALUES (17, 1)" end)
    assert.equal(1, #db:all(17, "SELECT n FROM items WHERE order_id = 17"))
  end)
end)
