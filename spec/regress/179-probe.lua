local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
describe("probe", function()
  before_each(fixture.start)
  after_each(fixture.stop)
  it("T14 nocase", function()
    local S = [[CREATE TABLE users (email TEXT PRIMARY KEY COLLATE NOCASE, n INTEGER);
      CREATE TABLE items (sku TEXT PRIMARY KEY, owner TEXT REFERENCES users ON DELETE CASCADE, n INTEGER);
      CREATE TABLE parts (id TEXT PRIMARY KEY, item TEXT REFERENCES items ON DELETE CASCADE, n INTEGER)]]
    local db = fixture.database(S)
    local other = fixture.open(fixture.config())
    for round = 1, 3 do
    local key = "ada@x" .. round
    local at = db:locate(key)
    local to = at == "a" and "b" or "a"
    other:insert(key:upper(), "INSERT INTO users VALUES (?, 1)", { key:upper() })
    other:insert(key:upper(), "INSERT INTO items VALUES (?, ?, 1)", { "s" .. round, key })
    other:insert("s" .. round, "INSERT INTO parts VALUES (?, ?, 1)", { "p" .. round, "s" .. round })
    other:first(key:upper(), "SELECT n FROM items WHERE owner = ? COLLATE NOCASE", { key })
    assert.equal(3, db:reassign_shard(key, to).rows)
    if round == 1 then other:insert(key:upper(), "INSERT INTO items VALUES (?, ?, 1)", { "t" .. round, key }) end
    if round == 1 then other:insert("t" .. round, "INSERT INTO parts VALUES (?, ?, 1)", { "q" .. round, "t" .. round }) end
    assert.equal(1, other:run(key:upper(), "UPDATE users SET n = 5 WHERE email = ?", { key }).meta.changes)
    assert.equal(1, other:run("s" .. round, "UPDATE items SET n = 5 WHERE sku = ?", { "s" .. round }).meta.changes)
    assert.equal(1, other:run("p" .. round, "UPDATE parts SET n = 5 WHERE id = ?", { "p" .. round }).meta.changes)
    assert.equal(1, other:run("s" .. round, "UPDATE parts SET n = 5 WHERE item = ?", { "s" .. round }).meta.changes)
    end
    assert.is_true(db:verify().success)
    db:add_shard { name = "c", fixture.path "c.db" }
    for i = 1, 30 do
      other:insert("k" .. i, "INSERT INTO users VALUES (?, 1)", { "K" .. i })
      other:insert("k" .. i, "INSERT INTO items VALUES (?, ?, 1)", { "i" .. i, "k" .. i })
    end
    other:locate "x"
    print(db:rebalance().retired)
    db:drain "a"
    for i = 1, 30 do assert.equal(1, other:first("K" .. i, "SELECT n FROM users WHERE email = ?", { "k" .. i }).n)
    assert.equal(1, other:first("i" .. i, "SELECT n FROM items WHERE sku = ?", { "i" .. i }).n) end
    assert.is_true(db:verify().success)
  end)
  it("delete journal mode, without rowid, composite, generated", function()
    local S = [[CREATE TABLE users (id INTEGER, part TEXT, n INTEGER, g AS (n + 1) STORED, PRIMARY KEY (id, part)) WITHOUT ROWID;
      CREATE TABLE docs (name TEXT PRIMARY KEY, n INTEGER, g TEXT GENERATED ALWAYS AS (n || 'x') VIRTUAL) WITHOUT ROWID;]]
    for _, n in ipairs { "a", "b", "c" } do fixture.sqlite(n .. ".db", S) end
    for _, st in ipairs { "hash", "round_robin" } do
    local db = fixture.open(fixture.config({ strategy = st }))
    for i = 1, 40 do
      db:insert(db:key("users", i), "INSERT INTO users (id, part, n) VALUES (?, 'x', 1), (?, 'y', 2)", { i, i })
      db:insert("d" .. i, "INSERT INTO docs (name, n) VALUES (?, 3)", { "d" .. i })
    end
    db:add_shard { name = "c", fixture.path "c.db" }
    local r = db:rebalance()
    assert.is_true(r.success and r.retired)
    print(r.moved, r.rows, r.failed_count)
    local d = db:drain "b"
    print(d.sealed, d.failed_count)
    assert.is_true(db:verify().success)
    assert.equal(80, (db:count "users"))
    assert.equal(40, (db:count "docs"))
    for i = 1, 40 do assert.equal(2, #db:all(db:key("users", i), "SELECT g FROM users WHERE id = ?", { i })) end
    db:run_all_shards("DELETE FROM users") db:run_all_shards("DELETE FROM docs")
    db:close()
    os.remove(fixture.path "directory.db")
    for _, n in ipairs { "a", "b", "c" } do os.remove(fixture.path(n .. ".db")); fixture.sqlite(n .. ".db", S) end
    end
  end)
  it("tags", function()
    local S = "CREATE TABLE users (id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE docs (name TEXT PRIMARY KEY, n INTEGER)"
    local sh = { a = { keyspace = "east" }, b = { keyspace = "west" } }
    local db = fixture.database(S, { shards = sh })
    for i = 1, 20 do
      for _, t in ipairs { "east", "west" } do db:insert(db:key("users", i, t), "INSERT INTO users VALUES (?, 1)", { i }) end
      db:insert("d" .. i, "INSERT INTO docs VALUES (?, 1)", { "d" .. i })
    end
    print(pcall(db.add_shard, db, { name = "c", fixture.path "c.db", keyspace = "east" }))
    local r = db:rebalance()
    print(r.success, r.retired, r.moved, r.failed_count)
    assert.is_true(db:verify().success)
    local ok, d = pcall(db.drain, db, "b")
    print(ok, ok and d.sealed or d, ok and d.failed_count)
    print(pcall(db.insert, db, db:key("users", 99, "west"), "INSERT INTO users VALUES (99, 1)"))
    print(pcall(db.insert, db, db:key("users", 9, "west"), "INSERT INTO users VALUES (9, 1)"))
    local d = db:drain "a"
    print(d.sealed, d.failed_count)
    for i = 1, 20 do assert.equal(1, db:first(db:key("users", i, "east"), "SELECT n FROM users WHERE id = ?", { i }).n) end
    assert.is_true(db:verify().success)
  end)
  it("memory kv", function()
    local db = fixture.open(fixture.config { kv = "memory:" })
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    for i = 1, 40 do db:insert("u" .. i, "INSERT INTO users VALUES (?, ?)", { "u" .. i, i }) end
    db:add_shard { name = "c", fixture.path "c.db" }
    print(db:rebalance().retired, db:drain("a").sealed, db:verify().success)
    assert.equal(40, (db:count "users"))
  end)
end)
