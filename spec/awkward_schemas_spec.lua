-- Schemas as they grow in practice, each cut into halves, into thirds, and given twice: every row is found by its key
-- before, while and after the files are taken over, in every mode of auto_migrate.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local COUNT <const> = 24 -- roots of each schema

-- A schema: `sql`; `insert`, what puts root # and all that follows it; `find(db, i)`, what must be found of root i: the
-- key, SQL, params, and the first column of the first row. `left_out` is what the reports name.
local schemas = {}

schemas["composite keys, without rowid, strict"] = {
  sql = [[
    CREATE TABLE accounts (tenant TEXT NOT NULL, number INTEGER NOT NULL, v INTEGER, PRIMARY KEY (tenant, number))
      STRICT, WITHOUT ROWID;
    CREATE TABLE readings (meter INTEGER, at TEXT, v INTEGER, PRIMARY KEY (meter, at)) WITHOUT ROWID;
    CREATE TABLE notes (tenant TEXT, number INTEGER, line INTEGER, v INTEGER, PRIMARY KEY (tenant, number, line),
      FOREIGN KEY (tenant, number) REFERENCES accounts ON DELETE CASCADE);]],
  insert = [[
    INSERT INTO accounts VALUES ('t#', 1, #), ('t#', 2, #);
    INSERT INTO readings VALUES (#, '1', #), (#, '2', #);
    INSERT INTO notes VALUES ('t#', 2, 1, #), ('t#', 2, 2, #);]],
  find = function(_, i)
    local t = "t" .. i
    return {
      { t, "SELECT sum(v) FROM accounts WHERE tenant = ?", { t }, 2 * i },
      { i, "SELECT sum(v) FROM readings WHERE meter = ?", { i }, 2 * i },
      { t, "SELECT sum(v) FROM notes WHERE tenant = ?", { t }, 2 * i },
    }
  end,
}

schemas["keys that are folded, blobs, generated, numeric, large, negative"] = {
  sql = [[
    CREATE TABLE mail (address TEXT PRIMARY KEY COLLATE NOCASE, v INTEGER);
    CREATE TABLE files (hash BLOB PRIMARY KEY, v INTEGER);
    CREATE TABLE codes (country TEXT, n INTEGER, id TEXT AS (country || '-' || n) STORED UNIQUE, v INTEGER);
    CREATE TABLE prices (id NUMERIC PRIMARY KEY, v INTEGER);
    CREATE TABLE big (id INTEGER PRIMARY KEY AUTOINCREMENT, v INTEGER);
    CREATE TABLE loose (id, v);
    CREATE INDEX loose_id ON loose (id);]],
  insert = [[
    INSERT INTO mail VALUES ('Ada#@Example.ORG', #);
    INSERT INTO files VALUES (CAST(x'00ff' || '#' AS BLOB), #);
    INSERT INTO codes (country, n, v) VALUES ('at', #, #);
    INSERT INTO prices VALUES (#, #), ('p#', #);
    INSERT INTO big VALUES (9223372036854775807 - #, #), (-9223372036854775808 + #, #);
    INSERT INTO loose VALUES (#, #), ('l#', #), (CAST('b#' AS BLOB), #);]],
  find = function(db, i)
    local big, small = math.maxinteger - i, math.mininteger + i
    local blob = "\0\255" .. i
    return {
      { "ada" .. i .. "@example.org", "SELECT v FROM mail WHERE address = ?", { "ada" .. i .. "@EXAMPLE.org" }, i },
      { "ADA" .. i .. "@example.org", "SELECT v FROM mail WHERE address = ?", { "ada" .. i .. "@EXAMPLE.org" }, i },
      { blob, "SELECT v FROM files WHERE hash = ?", { collegedb.blob(blob) }, i },
      { "at-" .. i, "SELECT v FROM codes WHERE id = ?", { "at-" .. i }, i },
      { i, "SELECT v FROM prices WHERE id = ?", { i }, i },
      { "p" .. i, "SELECT v FROM prices WHERE id = ?", { "p" .. i }, i },
      { big, "SELECT v FROM big WHERE id = ?", { big }, i },
      { db:key("big", tostring(small)), "SELECT v FROM big WHERE id = ?", { small }, i },
      { i, "SELECT v FROM loose WHERE id = ?", { i }, i },
      { "l" .. i, "SELECT v FROM loose WHERE id = ?", { "l" .. i }, i },
      { "b" .. i, "SELECT v FROM loose WHERE id = ?", { collegedb.blob("b" .. i) }, i },
    }
  end,
}

schemas["three levels, search tables, triggers and views"] = {
  sql = [[
    CREATE TABLE authors (name TEXT PRIMARY KEY, posts INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE posts (id INTEGER PRIMARY KEY, author TEXT NOT NULL REFERENCES authors ON DELETE CASCADE, body TEXT);
    CREATE TABLE comments (id TEXT PRIMARY KEY, post INTEGER REFERENCES posts ON DELETE CASCADE, body TEXT);
    CREATE TABLE likes (comment TEXT REFERENCES comments ON DELETE CASCADE, who TEXT, PRIMARY KEY (comment, who))
      WITHOUT ROWID;
    CREATE INDEX posts_author ON posts (author);
    CREATE VIRTUAL TABLE search USING fts5 (body, content = 'posts', content_rowid = 'id');
    CREATE TRIGGER posts_in AFTER INSERT ON posts BEGIN
    INSERT INTO search (rowid, body) VALUES (new.id, new.body);
      UPDATE authors SET posts = posts + 1 WHERE name = new.author; END;
    CREATE VIEW talk AS SELECT a.name, c.body FROM authors AS a JOIN posts AS p ON p.author = a.name
      JOIN comments AS c ON c.post = p.id;]],
  insert = [[
    INSERT INTO authors (name) VALUES ('w#');
    INSERT INTO posts VALUES (#, 'w#', 'word#');
    INSERT INTO comments VALUES ('c#', #, 'said#');
    INSERT INTO likes VALUES ('c#', 'me');]],
  find = function(_, i)
    local name, comment = "w" .. i, "c" .. i
    return {
      { name, "SELECT posts FROM authors WHERE name = ?", { name }, 1 },
      { name, "SELECT body FROM talk WHERE name = ?", { name }, "said" .. i },
      { i, "SELECT author FROM posts WHERE id = ?", { i }, name },
      { comment, "SELECT post FROM comments WHERE id = ?", { comment }, i },
      { comment, "SELECT who FROM likes WHERE comment = ?", { comment }, "me" },
      { name, "SELECT rowid FROM search WHERE search MATCH ?", { "word" .. i }, i },
    }
  end,
  left_out = { "search" },
}

schemas["names with spaces, quotes, keywords and other letters"] = {
  sql = [[
    CREATE TABLE "select" ("order" INTEGER PRIMARY KEY, "from" INTEGER);
    CREATE TABLE "O'Brien ""Q"" [x]; --" ("the key" TEXT PRIMARY KEY, "a]b" INTEGER);
    CREATE TABLE "größe 表" ("ключ" TEXT PRIMARY KEY, "🔑" INTEGER);
    CREATE TABLE "group" ("table" INTEGER REFERENCES "select" ON DELETE CASCADE, "%s" INTEGER,
      PRIMARY KEY ("table", "%s"));
    CREATE VIEW "a view" AS SELECT * FROM "select";]],
  insert = [[
    INSERT INTO "select" VALUES (#, #);
    INSERT INTO "O'Brien ""Q"" [x]; --" VALUES ('it''s #', #);
    INSERT INTO "größe 表" VALUES ('é#', #);
    INSERT INTO "group" VALUES (#, #);]],
  find = function(db, i)
    local quoted, accent = "it's " .. i, "é" .. i
    return {
      { i, 'SELECT "from" FROM "select" WHERE "order" = ?', { i }, i },
      { quoted, [[SELECT * FROM "O'Brien ""Q"" [x]; --" WHERE "the key" = ?]], { quoted }, quoted },
      { accent, 'SELECT "🔑" FROM [größe 表] WHERE "ключ" = ?', { accent }, i },
      { i, 'SELECT "%s" FROM `group` WHERE "table" = ?', { i }, i },
      { db:key("GROUP", i), 'SELECT "%s" FROM "group" WHERE "table" = ?', { i }, i },
    }
  end,
}
schemas["tables without keys, references in a circle, a table that follows itself"] = {
  sql = [[
    CREATE TABLE folders (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES folders ON DELETE CASCADE, v INTEGER);
    CREATE TABLE chickens (id INTEGER PRIMARY KEY, egg INTEGER REFERENCES eggs ON DELETE CASCADE);
    CREATE TABLE eggs (id INTEGER PRIMARY KEY, chicken INTEGER REFERENCES chickens ON DELETE CASCADE);
    CREATE TABLE log (line TEXT);
    CREATE TABLE measures (at REAL PRIMARY KEY, v);
    CREATE TABLE orphans (id INTEGER PRIMARY KEY, gone TEXT REFERENCES nowhere ON DELETE CASCADE);
    CREATE VIEW broken AS SELECT * FROM nowhere;]],
  insert = [[
    INSERT INTO folders VALUES (#, NULL, #);
    INSERT INTO chickens VALUES (#, #);
    INSERT INTO eggs VALUES (#, #);
    INSERT INTO log VALUES ('line #');
    INSERT INTO measures VALUES (#.5, #);
    INSERT INTO orphans VALUES (#, 'x');]],
  find = function(_, i)
    return {
      { i, "SELECT v FROM folders WHERE id = ?", { i }, i },
      { i, "SELECT id FROM chickens WHERE id = ?", { i }, i },
      { i, "SELECT id FROM eggs WHERE id = ?", { i }, i },
      { i, "SELECT id FROM orphans WHERE id = ?", { i }, i },
    }
  end,
  left_out = { "log", "measures" },
}

schemas["a database of the nineties: no keys declared, strings in double quotes, tenants by rules"] = {
  sql = [[
    CREATE TABLE customer (cust_no CHAR(10) NOT NULL, name VARCHAR(30) DEFAULT "nobody", balance MONEY,
      CHECK (name <> ""));
    CREATE UNIQUE INDEX customer_no ON customer (cust_no) ;
    CREATE TABLE invoice (cust_no CHAR(10), inv_no INT, total MONEY);
    CREATE INDEX invoice_cust ON invoice (cust_no);
    CREATE INDEX invoice_low ON invoice (lower(cust_no)) WHERE total > 0;
    CREATE TABLE country (code CHAR(2), name);
    INSERT INTO country VALUES ("at", "Austria");]],
  insert = [[
    INSERT INTO customer (cust_no) VALUES ('c#');
    INSERT INTO invoice VALUES ('c#', #, 1), ('c#', #, 2);]],
  rules = { table = function(info)
    if info.name == "customer" then return { key_column = "cust_no" } end
    if info.name == "invoice" then return { group = { parent = "customer", column = "cust_no" } } end
    return { reference = true }
  end },
  find = function(_, i)
    local customer = "c" .. i
    return {
      { customer, "SELECT name FROM customer WHERE cust_no = ?", { customer }, "nobody" },
      { customer, "SELECT sum(total) FROM invoice WHERE cust_no = ?", { customer }, 3 },
      { customer, 'SELECT name FROM country WHERE code = "at"', {}, "Austria" },
    }
  end,
}

schemas["one row for each of the parent's, two parents, parents by another column"] = {
  sql = [[
    CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE);
    CREATE TABLE profiles (person INTEGER PRIMARY KEY REFERENCES people ON DELETE CASCADE, v INTEGER);
    CREATE TABLE topics (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES people ON DELETE SET NULL);
    CREATE TABLE follows (person INTEGER REFERENCES people ON DELETE CASCADE,
      topic INTEGER REFERENCES topics ON DELETE CASCADE, v INTEGER, PRIMARY KEY (person, topic)) WITHOUT ROWID;
    CREATE TABLE letters (id INTEGER PRIMARY KEY, sender TEXT REFERENCES people (email) ON DELETE CASCADE,
      v INTEGER);]],
  insert = [[
    INSERT INTO people VALUES (#, 'p#@x');
    INSERT INTO profiles VALUES (#, #);
    INSERT INTO topics VALUES (#, #);
    INSERT INTO follows VALUES (#, #, #);
    INSERT INTO letters VALUES (#, 'p#@x', #);]],
  find = function(db, i)
    return {
      { i, "SELECT id FROM people WHERE id = ?", { i }, i },
      { i, "SELECT v FROM profiles WHERE person = ?", { i }, i },
      { db:key("people", i), "SELECT v FROM profiles WHERE person = ?", { i }, i },
      { i, "SELECT owner FROM topics WHERE id = ?", { i }, i },
      { i, "SELECT v FROM follows WHERE person = ?", { i }, i },
      { i, "SELECT v FROM letters WHERE id = ?", { i }, i },
      { db:key("people", i), "SELECT v FROM letters WHERE sender = ?", { ("p%d@x"):format(i) }, i },
    }
  end,
}

local shard_names = { "a", "b", "c" }

local function cut(schema, parts)
  for part = 1, parts do
    local texts = { schema.sql, "BEGIN;" }
    for i = 1, COUNT do
      if i % parts == part - 1 then texts[#texts + 1] = (schema.insert:gsub("#", i)) end
    end
    texts[#texts + 1] = "COMMIT;"
    fixture.sqlite(shard_names[part] .. ".db", table.concat(texts, "\n"))
  end
  return table.pack(table.unpack(shard_names, 1, parts))
end

local function twice(schema)
  local texts = { schema.sql }
  for i = 1, COUNT do texts[#texts + 1] = (schema.insert:gsub("#", i)) end
  for part = 1, 2 do fixture.sqlite(shard_names[part] .. ".db", table.concat(texts, "\n")) end
end

local function check(schema, db, when)
  for i = 1, COUNT do
    for n, case in ipairs(schema.find(db, i)) do
      local row = db:run(case[1], case[2], case[3])
      local value = row.results[1] and row.results[1][row.columns[1]]
      assert(value == case[4], ("%s: %d.%d, %s: %s instead of %s"):format(when, i, n, case[2], value, case[4]))
    end
  end
end

local function open(schema, names, mode)
  return fixture.open(fixture.config({ auto_migrate = mode, rules = schema.rules }, names))
end

local function wait(db)
  if db.wait_integration then db:wait_integration() end
end

local function integrate(schema, db, names)
  for _, name in ipairs(names) do
    local report = db:integrate(name, { page = 5, on_progress = function() check(schema, db, "while " .. name) end })
    assert.equal(0, report.conflict_count, name)
    check(schema, db, "after " .. name)
    local issues = table.concat(report.issues, "\n")
    for _, left_out in ipairs(schema.left_out or {}) do assert.matches(left_out .. " was left out", issues) end
    assert.equal(#(schema.left_out or {}), #report.issues, issues)
  end
end

local function entries() return fixture.rows("directory.db", "SELECT * FROM _collegedb_entries ORDER BY digest") end

describe("an awkward schema:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local names = {}
  for name in pairs(schemas) do names[#names + 1] = name end
  table.sort(names)
  for _, what in ipairs(names) do
    local schema = schemas[what]
    describe(what .. ",", function()
      for _, parts in ipairs { 2, 3 } do
        it(("in %d parts, by hand, and then again"):format(parts), function()
          local shards = cut(schema, parts)
          local db = open(schema, shards, false)
          check(schema, db, "before")
          integrate(schema, db, shards)
          local first = entries()
          integrate(schema, db, shards)
          assert.same(first, entries())
          db:close()
          check(schema, open(schema, shards, false), "opened again")
        end)

        for _, mode in ipairs { true, "background" } do
          it(("in %d parts, with auto_migrate = %s"):format(parts, mode), function()
            local shards = cut(schema, parts)
            local db = open(schema, shards, mode)
            check(schema, db, "at once")
            wait(db)
            check(schema, db, "after")
            for _, stat in ipairs(db:get_shard_stats()) do assert.is_true(stat.integrated) end
            check(schema, open(schema, shards, mode), "a second instance")
          end)
        end
      end

      it("whole in two files: every key is a conflict and stays where it was first", function()
        twice(schema)
        local db = open(schema, { "a", "b" }, false)
        assert.equal(0, db:integrate("a").conflict_count)
        local report = db:integrate "b"
        assert.is_false(report.success)
        assert.is_true(report.conflict_count >= COUNT)
        for _, conflict in ipairs(report.conflicts) do
          assert.same({ "b", "a" }, { conflict.shard, conflict.other_shard })
        end
        for i = 1, COUNT do
          local key = schema.find(db, i)[1][1]
          if type(key) == "string" then assert.equal("a", (db:locate(key))) end
        end
      end)
    end)
  end
end)
