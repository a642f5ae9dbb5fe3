-- What is not trusted: the schema and the bytes of files that are taken over, and what stands in CollegeDB's own
-- tables. Whatever is in them, a call returns or raises an error with a code; looking at a file does not change it; and
-- nothing outside of it is touched. docs/threat-model.md says what is promised.
--
-- CDB_DAMAGE=200 tries so many seeds of damage of each kind, CDB_DAMAGE_SEED is the first one.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local damage = require "spec.support.damage"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

local SEEDS <const>, FIRST <const> = tonumber(os.getenv "CDB_DAMAGE"), tonumber(os.getenv "CDB_DAMAGE_SEED") or 1

local USERS <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT);
  INSERT INTO users VALUES ('k1', 'x'), ('k2', 'y');]]
local LONG <const> = ("n"):rep(65536)

-- Through the command, which takes what our own connections refuse.
local function make(name, script)
  local result = process.run({ "sqlite3", fixture.path(name) },
    { input = ".dbconfig defensive off\nPRAGMA writable_schema = 1;\n" .. script })
  assert(fixture.bytes(name) and fixture.bytes(name) ~= "", result.stderr)
end

-- What f(…) returns, or nil: an error must be one of ours.
local function call(what, f, ...)
  local began = os.time()
  local done, got = pcall(f, ...)
  assert(os.time() - began < 15, what .. " took too long")
  if done then return got end
  assert(collegedb.is_error(got), ("%s raised %s"):format(what, tostring(got)))
  assert(not tostring(got):find "\n", what)
end

local function config(extra)
  local made = fixture.config { auto_migrate = false, move_deadline = 0.2 }
  for _, shard in ipairs(made.shards) do shard.busy_timeout, shard.synchronous = 0.2, "off" end
  for field, value in pairs(extra or {}) do made[field] = value end
  return made
end

-- Looks at a file, which must stay as it is, and makes none.
local function look(name)
  local path, bytes, files = fixture.path(name), fixture.bytes(name), fixture.files()
  call("list_tables", collegedb.list_tables, path)
  for _, table_name in ipairs { "users", "_collegedb_own", "sqlite_schema" } do
    call("validate", collegedb.validate_table_for_sharding, path, table_name)
    call("discover", collegedb.discover_existing_primary_keys, path, table_name)
  end
  assert(fixture.bytes(name) == bytes, "a look changed " .. name)
  assert.same(files, fixture.files())
end

local function route(db)
  for _, key in ipairs { "k1", "k2", "k40", "big", "nobody" } do
    call("locate", db.locate, db, key, "users")
    call("first", db.first, db, key, "SELECT * FROM users WHERE id = ?", { key })
    call("update", db.run, db, key, "UPDATE users SET name = 'n' WHERE id = ?", { key })
  end
  call("insert", db.insert, db, "k9", "INSERT INTO users (id, name) VALUES (?, 'n')", { "k9" })
  call("count", db.count, db, "users")
  call("all shards", db.run_all_shards, db, "SELECT * FROM users")
end

local function maintain(db)
  call("move", db.reassign_shard, db, "k1", "b", "users")
  call("move back", db.reassign_shard, db, "k2", "a", "users")
  call("integrate", db.integrate, db, "a")
  call("verify", db.verify, db)
  call("repair", db.verify, db, { repair = true })
  call("rebalance", db.rebalance, db, { dry_run = true })
  call("rollback", db.rollback, db, "a")
  call("metrics", db.metrics, db)
end

local function use(extra)
  local db = call("open", collegedb.open, config(extra))
  if not db then return end
  route(db)
  maintain(db)
  call("close", db.close, db)
end

describe("a file with a hostile schema", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function with_trigger(body)
    return USERS .. ("CREATE TRIGGER t BEFORE UPDATE ON users BEGIN %s; END;"):format(body)
  end

  local function with_sql(sql)
    return USERS .. ("UPDATE sqlite_schema SET sql = %s WHERE name = 'users';"):format(sql)
  end

  local function tables(count)
    local list = {}
    for i = 1, count do
      list[i] = ("CREATE TABLE t%d (id TEXT PRIMARY KEY, p REFERENCES t%d ON DELETE CASCADE);"):format(i, i % count + 1)
    end
    return "BEGIN;" .. table.concat(list) .. "COMMIT;" .. USERS
  end

  local OWN <const> = "CREATE TABLE _collegedb_own (keyspace TEXT, key TEXT, state TEXT, move INTEGER, floor INTEGER, "
    .. "peer TEXT, before TEXT, at INTEGER, PRIMARY KEY (keyspace, key)) WITHOUT ROWID;"

  local schemas <const> = {
    ["a trigger that loads an extension"] = with_trigger "SELECT load_extension('libm.so.6')",
    ["a trigger that hands out an address"] = with_trigger "SELECT fts3_tokenizer('x', x'4141414141414141')",
    ["a trigger that lies about a move"] = with_trigger "SELECT RAISE(ABORT, 'collegedb:moved')",
    ["a trigger that rolls back"] = with_trigger "SELECT RAISE(ROLLBACK, 'x')",
    ["a view in the place of a table"] =
      "CREATE VIEW users AS SELECT fts3_tokenizer('x', x'4141') AS id, 1 AS name;",
    ["a view without end"] = USERS .. "CREATE VIEW v AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 "
      .. "FROM n) SELECT i AS id FROM n;",
    ["a generated column that is huge"] = "CREATE TABLE users (id TEXT PRIMARY KEY, "
      .. "name TEXT AS (hex(zeroblob(900000000)))); INSERT INTO users (id) VALUES ('k1');",
    ["an index over an expression"] = USERS .. "CREATE INDEX i ON users (abs(length(name)));",
    ["a virtual table as a table"] = "CREATE VIRTUAL TABLE users USING dbstat;",
    ["a virtual table of no module"] = USERS
      .. "INSERT INTO sqlite_schema VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING nothing (a)');",
    ["a schema that is no SQL"] = with_sql "'CREATE TABLE users (id TEXT PRIM'",
    ["a schema without text"] = with_sql "NULL",
    ["a default that calls a function"] =
      with_sql "'CREATE TABLE users (id TEXT PRIMARY KEY, name DEFAULT (load_extension(1)))'",
    ["a collation that there is not"] = with_sql "'CREATE TABLE users (id TEXT COLLATE evil PRIMARY KEY, name TEXT)'",
    ["tables in one another's pages"] = USERS
      .. "CREATE TABLE o (id INTEGER PRIMARY KEY); UPDATE sqlite_schema SET rootpage = 2;",
    ["a table in the page of the schema"] = USERS .. "UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'users';",
    ["statistics that are none"] = USERS .. "ANALYZE; UPDATE sqlite_stat1 SET stat = '99999999999999999999 -1 x';",
    ["our tables with other columns"] = USERS
      .. "CREATE TABLE _collegedb_own (a, b); CREATE TABLE _collegedb_fence (x);",
    ["our tables as views"] = USERS .. "CREATE VIEW _collegedb_own AS SELECT '' AS keyspace, 'k1' AS key, "
      .. "'sent' AS state, 1 AS move, 1 AS floor, 'b' AS peer, NULL AS before, 0 AS at; "
      .. "CREATE VIEW _collegedb_fence AS SELECT '' AS keyspace;",
    ["our tables with a trigger on them"] = USERS .. OWN .. "CREATE TRIGGER z AFTER INSERT ON _collegedb_own BEGIN "
      .. "DELETE FROM users; END;",
    ["a key that went to nobody"] = USERS .. OWN .. "INSERT INTO _collegedb_own VALUES ('', 'k1', 'tomb', 9e18, 9e18, "
      .. "'nowhere', NULL, 9e18), ('', 'k2', 'sent', 5, 5, 'a', NULL, 1);",
    ["300 tables in a circle"] = tables(300),
    ["keys of every kind"] = "CREATE TABLE users (id TEXT PRIMARY KEY, name); INSERT INTO users VALUES "
      .. "(hex(zeroblob(4000000)), 1), ('k1', 1), (x'00', 2), (9e999, 1), (CAST(x'fffe' AS TEXT), 3), "
      .. "('a' || char(0), 4);",
    ["integers at their ends"] = "CREATE TABLE users (id INT UNIQUE, name); INSERT INTO users VALUES "
      .. "(9223372036854775807, 1), (-9223372036854775807 - 1, 1), (1.5, 2), ('x', 3), (x'00', 4), (9e999, 5);",
    ["names of every kind"] = USERS .. ([[CREATE TABLE "%s" (id TEXT PRIMARY KEY);
      CREATE TABLE "x""; DROP TABLE users; --" (id TEXT PRIMARY KEY, "y""z"); CREATE TABLE "new
line" (id INTEGER PRIMARY KEY);]]):format(LONG),
  }

  for name, script in pairs(schemas) do
    it(name, function()
      make("a.db", script)
      look "a.db"
      use()
      assert.is_nil(core.file_id(fixture.path "x"))
    end)
  end

  it("and one that sends a key round in a circle", function()
    for _, pair in ipairs { { "a", "b" }, { "b", "a" } } do
      make(pair[1] .. ".db", USERS .. OWN .. ("CREATE TABLE _collegedb_fence (keyspace TEXT PRIMARY KEY, text TEXT); "
        .. "INSERT INTO _collegedb_own VALUES ('', 'k1', 'sent', 3, 3, '%s', NULL, unixepoch()), "
        .. "('', 'k2', 'tomb', 3, 3, '%s', NULL, unixepoch());"):format(pair[2], pair[2]))
    end
    use()
  end)
end)

describe("a damaged file", function()
  local base = {}

  -- Two shards with moved keys, and their directory.
  setup(function()
    fixture.start()
    fixture.sqlite("a.db", [[CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT, more BLOB);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE);
      CREATE INDEX users_name ON users (name); CREATE INDEX orders_user ON orders (user);
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
        INSERT INTO users SELECT 'k' || i, 'name' || i, zeroblob(i * 10) FROM n;
      INSERT INTO users VALUES ('big', 'b', zeroblob(20000)); INSERT INTO orders SELECT NULL, id FROM users;]])
    local db = fixture.open(config { auto_migrate = true })
    db:create_schema("b", [[CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT, more BLOB);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE);
      CREATE INDEX users_name ON users (name); CREATE INDEX orders_user ON orders (user);]])
    for _, key in ipairs { "k2", "k3" } do db:reassign_shard(key, "b", "users") end
    db:close()
    for _, name in ipairs { "a.db", "b.db", "directory.db" } do base[name] = fixture.bytes(name) end
    fixture.stop()
  end)
  before_each(fixture.start)
  after_each(fixture.stop)

  local NAMES <const> = { "a.db", "b.db", "directory.db" }

  -- Each seed damages one of the files, all are used, and the next one begins with whole ones.
  local function try(count, hurt)
    for seed = FIRST, FIRST + (SEEDS or count) - 1 do
      local random = damage.random(seed)
      local name = NAMES[random(3)]
      for _, each in ipairs(fixture.files()) do os.remove(fixture.path(each)) end
      for each, bytes in pairs(base) do fixture.write(each, bytes) end
      hurt(name, random)
      local done, err = pcall(function()
        if name ~= "directory.db" then look(name) end
        use()
      end)
      assert(done, ("seed %d, %s: %s"):format(seed, name, tostring(err)))
      collectgarbage()
    end
  end

  it("with other bytes", function()
    try(40, function(name, random) fixture.write(name, damage.bytes(base[name], random)) end)
  end)

  it("with other values in our tables", function()
    for name in pairs(base) do -- as if nothing but INTEGER and TEXT had ever been promised
      fixture.write(name, base[name])
      make(name, "PRAGMA journal_mode = DELETE; UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') "
        .. "WHERE type = 'table' AND substr(name, 1, 11) = '_collegedb_';")
      base[name] = fixture.bytes(name)
    end
    try(12, function(name, random) damage.rows(fixture.path(name), random) end)
  end)
end)

describe("what programs show and make", function()
  local folder
  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local EVIL <const> = { "<script>alert(1)</script>",
    "\27]0;owned\7", "\194\155x", "a'\"><img src=x onerror=y>", "}\nx 1" }

  -- Tables, columns, keys and rows with such names, in a file with the right mode.
  local function make_evil()
    local script = { USERS }
    for i, name in ipairs(EVIL) do
      local quoted, text = name:gsub('"', '""'), name:gsub("'", "''")
      script[#script + 1] = ('CREATE TABLE "%s" ("%s" TEXT PRIMARY KEY, n);'):format(quoted, quoted)
      script[#script + 1] = ([[INSERT INTO "%s" VALUES ('%s', 1);]]):format(quoted, text)
      script[#script + 1] = ("INSERT INTO users VALUES ('%s %d', 'x');"):format(text, i)
    end
    process.run({ "sqlite3", folder .. "/a.db" }, { input = table.concat(script) })
    process.write(folder .. "/collegedb.lua", [[return { kv = "d.db", slow_query = 1e-6, slow_query_log = "slow.log",
      statistics_dir = "statistics", shards = { { name = "a<b>&\"'", "a.db" }, { name = "b", "b.db" } } }]])
  end

  it("names and keys reach no terminal, page or metric as they are", function()
    make_evil()
    for _, line in ipairs { "integrate --dry-run", "integrate", "status", "doctor", "verify", "validate",
      "query --shard b 'SELECT 1'", "metrics", "report -o page.html" } do
      local result = process.run({ "sh", "-c", process.quote(process.collegedb) .. " " .. line }, { folder = folder })
      local text = result.stdout .. result.stderr
      assert(result.status <= 3, text)
      assert(not text:gsub("\n", ""):find "%c" and not text:find("\194\155", 1, true) and utf8.len(text), line)
      for metric in (line == "metrics" and text or ""):gmatch "[^\n]+" do
        assert(metric:find "^#" or metric:find '^[%w_]+ %S+$' or metric:find '^[%w_]+{[^\n]*} %S+$', metric)
      end
    end
    local page = process.read(folder .. "/page.html")
    assert(page:find "</html>" and not page:find("<script>alert", 1, true) and not page:find("<img", 1, true))
    assert(not page:find("a<b>", 1, true))
  end)

  it("a file is no wider than the umask says", function()
    make_evil()
    process.write(folder .. "/run.lua", [[
      local db = require("collegedb").open(dofile "collegedb.lua")
      db:create_schema("b", "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT)")
      db:run("k1", "UPDATE users SET name = 'y' WHERE id = 'k1'")
      os.execute "find . -newer collegedb.lua -printf '%m %P\\n'"]])
    for _, mask in ipairs { "077", "027" } do
      local line = ("rm -rf d.db* b.db* slow.log statistics; umask %s; touch -d '1 hour ago' a.db *.lua; "
        .. "%s ./run.lua && %s report -o page.html && find page.html -printf '%%m %%P\\n'"):format(mask,
        process.quote(process.collegedb), process.quote(process.collegedb))
      local result = process.run({ "sh", "-c", line }, { folder = folder })
      local count = 0
      for mode, name in result.stdout:gmatch "(%d+) (%S+)" do
        assert(name == "a.db" or tonumber(mode, 8) & tonumber(mask, 8) == 0, name .. " " .. mode)
        count = count + (name:find "^a%.db" and 0 or 1)
      end
      assert(count >= 8, result.stdout .. result.stderr)
    end
    assert.equal(384, require("collegedb.core").file_facts(folder .. "/slow.log").mode & 0x1ff)
  end)

  it("scripts that are no text are refused", function()
    local code = string.dump(assert(load "print 'it ran' return { kv = 'd.db', shards = { { name = 'a', 'a.db' } } }"))
    for _, sub in ipairs { "commands", "strategies", "rules" } do
      process.run { "mkdir", "-p", folder .. "/scripts/" .. sub }
      process.write(("%s/scripts/%s/evil.lua"):format(folder, sub), code)
    end
    process.write(folder .. "/evil.lua", code)
    for field, line in pairs { [""] = "integrate --config evil.lua", strategy = "integrate", rules = "integrate",
      [" "] = "evil" } do
      process.write(folder .. "/collegedb.lua", ([[return { kv = "d.db", script_dirs = { "scripts" }, %s
        shards = { { name = "a", "a.db" } } }]]):format(field:find "%a" and field .. ' = "evil",' or ""))
      local result = process.run({ "sh", "-c", process.quote(process.collegedb) .. " " .. line },
        { folder = folder, env = { COLLEGEDB_PATH = "scripts" } })
      assert(result.status == 1, line)
      assert.matches("binary chunk", result.stderr)
      assert.is_nil((result.stdout .. result.stderr):find "it ran")
    end
  end)
end)
