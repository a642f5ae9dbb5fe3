-- The option `tables` of integrate wrote entries for the own keys of rows inside groups, and none for those groups.

local fixture = require "spec.support.fixture"

describe("regression 065:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("integrating a table inside groups takes over its groups' keys", function()
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", ([[CREATE TABLE users (id TEXT PRIMARY KEY);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);
        CREATE TABLE items (order_id INTEGER REFERENCES orders ON DELETE CASCADE, line INTEGER,
          PRIMARY KEY (order_id, line));
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
          INSERT INTO orders SELECT %d + i, 'lost%d.' || i FROM n;
        INSERT INTO items VALUES (%d, 1)]]):format(i * 100, i, i * 100))
    end
    local db = fixture.open(fixture.config { auto_migrate = false })
    for i, name in ipairs { "a", "b" } do
      local report = db:integrate(name, { tables = { "Orders", "items", "orders" } })
      assert.is_true(report.success)
      assert.same({ 2, 21, 20 }, { report.tables_processed, report.total_records, report.mappings_created })
      assert.is_false(db:get_shard_stats()[i].integrated)
      db:integrate(name, { tables = { "users", "items", "orders" } })
      assert.is_true(db:get_shard_stats()[i].integrated)
    end
    assert.is_true(fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n <= 40)
    for i, name in ipairs { "a", "b" } do assert.equal(name, (db:locate(("lost%d.7"):format(i)))) end
  end)
end)
