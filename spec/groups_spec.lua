-- Tables that follow another: a key brings all rows of its group, in whichever of the group's tables they are.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local SHOP = [[
CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  total INTEGER);
CREATE INDEX orders_user ON orders (user_id);
CREATE TABLE items (order_id INTEGER REFERENCES orders ON DELETE CASCADE, line INTEGER, what TEXT,
  PRIMARY KEY (order_id, line)) WITHOUT ROWID;
]]

local function shop(names)
  local next_order = 1
  for _, name in ipairs(names or { "a", "b" }) do
    local rows = {}
    for i = 1, 20 do
      local user = name .. i
      rows[#rows + 1] = ("INSERT INTO users VALUES ('%s', '%s');"):format(user, user)
      for _ = 1, 2 do
        rows[#rows + 1] = ("INSERT INTO orders VALUES (%d, '%s', %d);"):format(next_order, user, next_order)
        rows[#rows + 1] = ("INSERT INTO items VALUES (%d, 1, 'x'), (%d, 2, 'y');"):format(next_order, next_order)
        next_order = next_order + 1
      end
    end
    fixture.sqlite(name .. ".db", SHOP .. "BEGIN;" .. table.concat(rows) .. "COMMIT;")
  end
end

local modes = { "probed", "integrated" }

local function open(mode, extra)
  local config = fixture.config(extra)
  config.auto_migrate = mode == "integrated"
  return fixture.open(config)
end

describe("a group", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, mode in ipairs(modes) do
    describe(mode, function()
      it("is reached whole by its key", function()
        shop()
        local db = open(mode)
        for _, user in ipairs { "a1", "b20" } do
          assert.equal(2, #db:all(user, "SELECT id FROM orders WHERE user_id = ?", { user }))
          assert.equal(4, #db:all(user, [[SELECT what FROM items JOIN orders ON orders.id = order_id
            WHERE user_id = ?]], { user }))
        end
      end)

      it("takes new rows under its key, on its shard", function()
        shop()
        local db = open(mode)
        for i = 1, 20 do
          db:insert("b" .. i, "INSERT INTO orders (id, user_id) VALUES (?, ?)", { 1000 + i, "b" .. i })
          assert.same({ "b" }, fixture.holders({ "a", "b" }, "orders", "id", 1000 + i))
        end
      end)

      it("has members that are found by their own key, again and again", function()
        shop()
        local db = open(mode)
        for _ = 1, 3 do
          for id = 1, 80 do
            assert.equal(id, db:first(id, "SELECT total FROM orders WHERE id = ?", { id }).total)
          end
        end
        assert.same({ "b", "found" }, { db:locate(80, "orders") })
        assert.same({ "a", "found" }, { db:locate(db:key("orders", 1)) })
        assert.equal(1, db:run(79, "UPDATE orders SET total = 0 WHERE id = ?", { 79 }).meta.changes)
      end)

      it("has members without a key of their own, found by their parent's", function()
        shop()
        local db = open(mode)
        assert.equal(2, #db:all(77, "SELECT what FROM items WHERE order_id = ?", { 77 }))
        db:insert(77, "INSERT INTO items VALUES (?, 3, 'z')", { 77 })
        assert.same({ "b" }, fixture.holders({ "a", "b" }, "items", "what", "z"))
      end)

      it("refuses a new member under its own key, and names the parent", function()
        shop()
        local db = open(mode)
        fixture.raises("USAGE", "users", db.insert, db, 500, "INSERT INTO orders (id, user_id) VALUES (?, ?)",
          { 500, "a1" })
        fixture.raises("USAGE", "orders", db.insert, db, 500, "INSERT INTO items VALUES (?, 1, 'x')", { 500 })
        assert.is_nil(db:first(500, "SELECT 1 FROM orders WHERE id = ?", { 500 }))
        assert.is_nil((db:locate(500, "orders")))
      end)
    end)
  end

  it("writes entries for its keys alone", function()
    shop()
    local db = open "integrated"
    local report = db:integration_report "b"
    assert.is_true(report.success, table.concat(report.issues, "\n"))
    assert.equal(3, report.tables_processed)
    assert.equal(20 + 40 + 80, report.total_records)
    local kept = 0
    for _, stat in ipairs(db:get_shard_stats()) do kept = kept + stat.count end
    assert.equal(40, kept)
    assert.is_true(fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n <= 40)
  end)

  it("is not joined by a foreign key without ON DELETE CASCADE", function()
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", ([[CREATE TABLE users (id TEXT PRIMARY KEY);
        CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users);
        INSERT INTO users VALUES ('%s'); INSERT INTO notes VALUES (%d, '%s')]]):format(name, i, name))
    end
    local db = open "integrated"
    assert.equal("b", db:first(2, "SELECT user_id FROM notes WHERE id = ?", { 2 }).user_id)
    db:insert(99, "INSERT INTO notes VALUES (?, 'x')", { 99 })
  end)

  describe("whose members have strings for keys", function()
    local POSTS = [[
      CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE posts (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE);
      CREATE INDEX posts_user ON posts (user_id);
      CREATE TABLE tags (post_id TEXT REFERENCES posts ON DELETE CASCADE, tag TEXT, PRIMARY KEY (post_id, tag));]]

    local function posts()
      for _, name in ipairs { "a", "b", "c" } do
        local rows = {}
        for i = 1, 10 do
          rows[#rows + 1] = ([[INSERT INTO users VALUES ('%s%d'); INSERT INTO posts VALUES ('%sp%d', '%s%d');
            INSERT INTO tags VALUES ('%sp%d', 't');]]):format(name, i, name, i, name, i, name, i)
        end
        fixture.sqlite(name .. ".db", POSTS .. table.concat(rows))
      end
    end

    local FIND = "SELECT user_id FROM posts WHERE id = ?"

    for _, strategy in ipairs { "hash", "random" } do
      for _, auto_migrate in ipairs { false, true } do
        it(("finds both, %s, %s"):format(strategy, auto_migrate and "integrated" or "probed"), function()
          posts()
          local db = fixture.open(fixture.config({ strategy = strategy, auto_migrate = auto_migrate },
            { "a", "b", "c" }))
          for _ = 1, 2 do
            for _, name in ipairs { "a", "b", "c" } do
              for i = 1, 10 do
                local user, post = name .. i, name .. "p" .. i
                assert.equal(user, db:first(post, FIND, { post }).user_id)
                assert.equal(1, #db:all(user, "SELECT id FROM posts WHERE user_id = ?", { user }))
                assert.equal(1, #db:all(post, "SELECT tag FROM tags WHERE post_id = ?", { post }))
                assert.equal(name, (db:locate(post, "posts")))
                assert.equal(name, (db:locate(post)))
                assert.equal(name, (db:locate(user)))
              end
            end
          end
          for i = 1, 10 do
            local user, post = "n" .. i, "np" .. i
            fixture.raises("USAGE", "users", db.insert, db, post, "INSERT INTO posts VALUES (?, ?)", { post, user })
            db:insert(user, "INSERT INTO users VALUES (?)", { user })
            db:insert(user, "INSERT INTO posts VALUES (?, ?)", { post, user })
            db:insert(post, "INSERT INTO tags VALUES (?, 'n')", { post })
            db:transaction(post, function(tx) tx:run("INSERT INTO tags VALUES (?, 'm')", { post }) end)
            local holder = fixture.holders({ "a", "b", "c" }, "users", "id", user)
            assert.equal(1, #holder)
            assert.same(holder, fixture.holders({ "a", "b", "c" }, "posts", "id", post))
            assert.same(holder, fixture.holders({ "a", "b", "c" }, "tags", "post_id", post))
            assert.equal(2, #db:all(post, "SELECT tag FROM tags WHERE post_id = ?", { post }))
          end
        end)
      end
    end

    it("follows a row that went to another shard meanwhile", function()
      posts()
      local db = fixture.open(fixture.config({ auto_migrate = true }, { "a", "b", "c" }))
      assert.equal("a1", db:first("ap1", FIND, { "ap1" }).user_id)
      fixture.sqlite("a.db", "DELETE FROM posts WHERE id = 'ap1'")
      fixture.sqlite("b.db", "INSERT INTO posts VALUES ('ap1', 'b1')")
      assert.equal("b1", db:first("ap1", FIND, { "ap1" }).user_id)
      fixture.sqlite("b.db", "DELETE FROM posts WHERE id = 'ap1'")
      fixture.sqlite("c.db", "INSERT INTO posts VALUES ('ap1', 'c1')")
      assert.equal(1, #db:all("ap1", FIND, { "ap1" }))
      fixture.sqlite("c.db", "DELETE FROM posts WHERE id = 'ap1'")
      fixture.sqlite("a.db", "INSERT INTO posts VALUES ('ap1', 'a1')")
      assert.equal(1, db:run("ap1", "UPDATE posts SET user_id = 'a2' WHERE id = ?", { "ap1" }).meta.changes)
      fixture.sqlite("a.db", "DELETE FROM posts WHERE id = 'ap1'")
      assert.is_nil(db:first("ap1", FIND, { "ap1" }))
      for _ in db:each("ap1", FIND, { "ap1" }) do error "there is none" end
    end)

    it("does not take a computed home for the place of a member", function()
      posts()
      local db = fixture.open(fixture.config({ auto_migrate = true }, { "a", "b", "c" }))
      for i = 1, 10 do
        -- In a statement of a table without such keys the string is a new key, which is at home somewhere.
        assert.is_nil(db:first("cp" .. i, "SELECT 1 FROM users WHERE id = ?", { "cp" .. i }))
        assert.equal("c" .. i, db:first("cp" .. i, FIND, { "cp" .. i }).user_id)
      end
    end)
  end)

  it("names a row that two shards have", function()
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", SHOP .. ([[INSERT INTO users VALUES ('u%d', '');
        INSERT INTO orders VALUES (1, 'u%d', %d)]]):format(i, i, i))
    end
    local db = open "integrated"
    assert.is_true(db:integration_report("a").success and db:integration_report("b").success)
    fixture.raises("CONFLICT", "a and b both", db.first, db, 1, "SELECT total FROM orders WHERE id = ?", { 1 })
    assert.equal(2, db:first("u2", "SELECT total FROM orders WHERE id = ?", { 1 }).total)
    db:close()
    local config = fixture.config { shards = { a = { keyspace = "a" }, b = { keyspace = "b" } } }
    config.auto_migrate = true
    db = fixture.open(config)
    for i, name in ipairs { "a", "b" } do
      assert.equal(i, db:first(db:key("orders", 1, name), "SELECT total FROM orders WHERE id = 1").total)
    end
  end)

  it("of integers is reached by db:key of its root", function()
    local schema = [[CREATE TABLE teams (id INTEGER PRIMARY KEY);
      CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER REFERENCES teams ON DELETE CASCADE);
      CREATE INDEX people_team ON people (team);]]
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", schema .. ([[INSERT INTO teams VALUES (%d);
        INSERT INTO people VALUES (%d, %d)]]):format(i, i * 10, i))
    end
    for _, mode in ipairs(modes) do
      local db = open(mode)
      for i = 1, 2 do
        assert.equal(i * 10, db:first(db:key("teams", i), "SELECT id FROM people WHERE team = ?", { i }).id)
        assert.equal(i, db:first(i * 10, "SELECT team FROM people WHERE id = ?", { i * 10 }).team)
      end
      for i = 3, 20 do
        local team = db:key("teams", i + (mode == "probed" and 0 or 100))
        db:insert(team, "INSERT INTO people VALUES (?, ?)", { i + (mode == "probed" and 100 or 200), i })
      end
      fixture.raises("USAGE", "teams", db.insert, db, 999, "INSERT INTO people VALUES (999, 1)")
      fixture.raises("USAGE", "teams", db.insert, db, db:key("people", 999), "INSERT INTO people VALUES (999, 1)")
      db:close()
    end
  end)

  it("is found by rows that have lost their parent", function()
    fixture.sqlite("a.db", SHOP .. "INSERT INTO users VALUES ('ada', '')")
    fixture.sqlite("b.db", SHOP .. [[INSERT INTO orders VALUES (1, 'lost1', 1), (2, 'lost2', 2), (3, 'lost3', 3);
      INSERT INTO items VALUES (9, 1, 'x')]])
    for _, mode in ipairs(modes) do
      local db = open(mode)
      for i = 1, 3 do
        local user = "lost" .. i
        assert.equal(i, db:first(user, "SELECT total FROM orders WHERE user_id = ?", { user }).total)
        assert.equal("b", (db:locate(user)))
      end
      assert.equal("x", db:first(9, "SELECT what FROM items WHERE order_id = ?", { 9 }).what)
      db:close()
    end
  end)

  describe("by the schema", function()
    -- What it shows, the schema, the table t, a key of it, and where this key is a member's own: what an INSERT names.
    local cases = {
      { "one row for each of the parent's", [[CREATE TABLE p (id INTEGER PRIMARY KEY);
          CREATE TABLE t (p_id INTEGER PRIMARY KEY REFERENCES p ON DELETE CASCADE)]] },
      { "a table that follows itself", [[CREATE TABLE t (id INTEGER PRIMARY KEY,
          parent INTEGER REFERENCES t ON DELETE CASCADE)]] },
      { "two tables that follow one another", [[
          CREATE TABLE p (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t ON DELETE CASCADE);
          CREATE TABLE t (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p ON DELETE CASCADE)]] },
      { "a parent that is not there", [[CREATE TABLE t (id INTEGER PRIMARY KEY,
          p INTEGER REFERENCES gone ON DELETE CASCADE)]] },
      { "a parent without a key", [[CREATE TABLE p (x REAL PRIMARY KEY);
          CREATE TABLE t (id INTEGER PRIMARY KEY, p REAL REFERENCES p ON DELETE CASCADE)]] },
      { "a parent's column that is not its key", [[CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
          CREATE TABLE t (id INTEGER PRIMARY KEY, p TEXT REFERENCES p (name) ON DELETE CASCADE)]], "p" },
      { "two parents, by the first column", [[CREATE TABLE p (id INTEGER PRIMARY KEY);
          CREATE TABLE q (id INTEGER PRIMARY KEY);
          CREATE TABLE t (id INTEGER PRIMARY KEY, q INTEGER REFERENCES q ON DELETE CASCADE,
          p INTEGER REFERENCES p ON DELETE CASCADE)]], "q" },
      { "two parents, by the first of the primary key", [[CREATE TABLE p (id INTEGER PRIMARY KEY);
          CREATE TABLE q (id INTEGER PRIMARY KEY, x INTEGER REFERENCES p ON DELETE CASCADE);
          CREATE TABLE t (p INTEGER REFERENCES p ON DELETE CASCADE, q INTEGER REFERENCES q ON DELETE CASCADE,
          PRIMARY KEY (q, p))]], "p" },
      { "a key of two columns", [[CREATE TABLE p (a INTEGER, b INTEGER, PRIMARY KEY (a, b));
          CREATE TABLE t (id INTEGER PRIMARY KEY, b INTEGER, a INTEGER,
          FOREIGN KEY (b, a) REFERENCES p (b, a) ON DELETE CASCADE)]], "p" },
      { "names in any case and quotes", [[CREATE TABLE "My Parents" ("a ""b" INTEGER PRIMARY KEY);
          CREATE TABLE T (ID INTEGER PRIMARY KEY, [x y] INTEGER REFERENCES "MY PARENTS" ("A ""B") ON DELETE CASCADE)]],
        "My Parents" },
    }
    for _, case in ipairs(cases) do
      it(case[3] and "follows: " .. case[1] or "does not follow: " .. case[1], function()
        for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", case[2]) end
        local db = open "integrated"
        local sql = "INSERT INTO t SELECT 1 WHERE 0"
        local key = db:key("t", 5)
        if case[3] then
          fixture.raises("USAGE", "of " .. case[3], db.insert, db, key, "INSERT INTO t DEFAULT VALUES")
        else
          assert.is_true(pcall(db.locate, db, key))
          local ok, e = pcall(db.insert, db, key, sql)
          assert.is_true(ok or e.code == "SQL", tostring(e))
        end
      end)
    end
  end)

  describe("by the rules", function()
    local rules = { table = function(info)
      if info.name == "tenants" then return { key_column = "name" } end
      if info.name == "logs" then return { group = { parent = "tenants", column = "tenant" } } end
      if info.name == "jobs" then return { key_column = "id", group = { parent = "Tenants", column = "tenant" } } end
      return { reference = true }
    end }
    local SCHEMA = [[CREATE TABLE tenants (name TEXT PRIMARY KEY COLLATE NOCASE);
      CREATE TABLE logs (tenant TEXT, line TEXT);
      CREATE TABLE jobs (id INTEGER PRIMARY KEY, tenant TEXT); CREATE TABLE countries (code TEXT PRIMARY KEY);
      INSERT INTO countries VALUES ('at'), ('be');]]

    it("joins tables without a foreign key", function()
      for _, name in ipairs { "a", "b" } do
        fixture.sqlite(name .. ".db", SCHEMA .. ([[INSERT INTO tenants VALUES ('%s');
          INSERT INTO logs VALUES ('%s', 'x'); INSERT INTO jobs VALUES (%d, '%s')]]):format("T" .. name,
          "T" .. name:upper(), name:byte(), "t" .. name))
      end
      for _, mode in ipairs(modes) do
        local db = open(mode, { rules = rules })
        for _, name in ipairs { "a", "b" } do
          local tenant = "t" .. name
          assert.equal(1, #db:all(tenant, "SELECT line FROM logs WHERE tenant = ? COLLATE NOCASE", { tenant }))
          assert.equal(tenant, db:first(name:byte(), "SELECT tenant FROM jobs WHERE id = ?", { name:byte() }).tenant)
        end
        if mode == "integrated" then assert.same({}, db:integration_report("a").issues) end
        db:close()
      end
    end)

    for what, case in pairs {
      ["no table"] = { { group = 7 }, "group" }, ["no parent"] = { { group = { column = "tenant" } }, "group" },
      ["an unknown parent"] = { { group = { parent = "nope", column = "tenant" } }, "nope" },
      ["an unknown column"] = { { group = { parent = "tenants", column = "nope" } }, "nope" },
      ["a number for the key"] = { { key_column = 7 }, "key_column" }, ["no key"] = { {}, "no key_column" },
      ["an unknown key column"] = { { key_column = "nope" }, "nope" }, ["a string"] = { "tenant", "string" },
    } do
      it("are told when they return " .. what, function()
        fixture.sqlite("a.db", SCHEMA)
        local wrong = { table = function(info)
          if info.name == "logs" then return case[1] end
          return rules.table(info)
        end }
        fixture.raises("SCRIPT", "logs.*" .. case[2], fixture.open, fixture.config({ rules = wrong }, { "a" }))
      end)
    end

    it("are told of a table what its schema says", function()
      fixture.sqlite("a.db", [[CREATE TABLE p (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
        CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT COLLATE NOCASE UNIQUE, y TEXT NOT NULL, z AS (x || y) STORED,
          FOREIGN KEY (x, y) REFERENCES p ON DELETE SET NULL, FOREIGN KEY (y, x) REFERENCES p (b, a));
        CREATE UNIQUE INDEX t_yx ON t (y, x); CREATE UNIQUE INDEX t_part ON t (y) WHERE x = 1;
        CREATE INDEX t_z ON t (z);
        CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END; INSERT INTO t VALUES (1, 'x', 'y');
        CREATE VIEW v AS SELECT * FROM t]])
      local seen, others = {}, nil
      fixture.open(fixture.config({ rules = { table = function(info, catalog)
        seen[info.name], others = info, catalog
        return nil, "not today"
      end } }, { "a" }))
      local t = seen.t
      assert.equal("view", seen.v.kind)
      assert.same({ "a", "table", 1 }, { t.shard, t.kind, t.row_count })
      assert.same({ "id" }, t.primary_key)
      assert.same({
        { columns = { "x", "y" }, parent = "p", parent_columns = { "a", "b" }, on_delete = "SET NULL" },
        { columns = { "y", "x" }, parent = "p", parent_columns = { "b", "a" }, on_delete = "NO ACTION" },
      }, t.foreign_keys)
      assert.same({ { columns = { "id" } }, { columns = { "x" } }, { columns = { "y", "x" } } }, t.unique)
      assert.same({ "tr" }, t.triggers)
      local x, z = t.columns[2], t.columns[4]
      assert.same({ "x", "TEXT", false, 0, false, "NOCASE" },
        { x.name, x.type, x.notnull, x.pk, x.generated, x.collation })
      assert.same({ "z", true, "BINARY" }, { z.name, z.generated, z.collation })
      assert.equal(t, others.T)
      assert.is_nil(others.nope)
    end)
  end)

  it("is told of by validation", function()
    fixture.sqlite("a.db", SHOP .. "DROP INDEX orders_user; INSERT INTO users VALUES ('u', '')")
    local found = collegedb.validate_table_for_sharding(fixture.path "a.db", "orders")
    assert.same({ "id", "users" }, { found.primary_key_column, found.follows })
    assert.same(1, #found.issues)
    assert.matches("the column by which it follows users, user_id has no index", found.issues[1])
    found = collegedb.validate_table_for_sharding(fixture.path "a.db", "items")
    assert.same({ "order_id", "orders", true }, { found.primary_key_column, found.follows, found.is_valid })
  end)

  it("is what check_keys allows a statement to touch", function()
    shop()
    local db = open("integrated", { check_keys = true })
    db:run("a1", "UPDATE orders SET total = 0 WHERE user_id = ?", { "a1" })
    db:run(1, "UPDATE orders SET total = 1 WHERE id = ?", { 1 })
    db:run("a1", "DELETE FROM items WHERE order_id = 1")
    fixture.raises("USAGE", "touched", db.run, db, "a1", "UPDATE orders SET total = 0 WHERE user_id = ?", { "a2" })
    fixture.raises("USAGE", "touched", db.run, db, "a1", "UPDATE orders SET user_id = 'a2' WHERE user_id = 'a1'")
    fixture.raises("USAGE", "touched", db.run, db, 1, "UPDATE orders SET total = 1 WHERE id = ?", { 2 })
    db:insert("a1", "INSERT INTO orders (user_id) VALUES ('a1')")
    fixture.raises("USAGE", "touched", db.insert, db, "a1", "INSERT INTO orders (user_id) VALUES ('a2')")
  end)
end)
