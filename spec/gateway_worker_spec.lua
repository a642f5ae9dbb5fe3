-- The gateway Worker's doors: paths, tokens, allow-lists, sizes, and what a token that only reads may do.

local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local json_reader = require "collegedb.json_reader"
local net = require "collegedb.net"

describe("the gateway's doors", function()
  local worker

  if gateway.skips(it, function(why) pending(why) end) then return end

  setup(function()
    worker = gateway.start { databases = { "DB", "WEST" }, namespaces = { "KV", "SECRETS" }, vars = {
      COLLEGEDB_DATABASES = "DB, WEST ,GONE", COLLEGEDB_NAMESPACES = "KV", PLAIN = "text" } }
  end)

  teardown(function()
    net.close()
    worker.stop()
  end)

  local function ask(path, body, more)
    local request = { url = worker.url .. path, body = body or "{}" }
    for name, value in pairs(more or {}) do request[name] = value end
    return gateway.ask(request)
  end

  ---Sends a request that is refused with this status and code; returns the message.
  local function refused(status, code, path, body, more)
    local got, _, word, message = ask(path, body, more)
    assert.equal(("%d %s"):format(status, code), ("%d %s"):format(got, word or "done"), message)
    return message
  end

  local function query(sql, more)
    local body = { sql = sql }
    for name, value in pairs(more or {}) do body[name] = value end
    return ask("/d1/DB/query", body)
  end

  local function run(sql, params) return query(sql, { params = params, write = gateway.write_token() }) end

  before_each(function()
    run "DROP TABLE IF EXISTS t"
    run "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)"
    run("INSERT INTO t VALUES (1, ?1), (2, ?2)", { "one", "two" })
  end)

  describe("paths", function()
    it("that are none are refused", function()
      for _, path in ipairs { "", "/", "/d1", "/d1/", "/d1/DB", "/d1/DB/", "/d1/DB/exec", "/d1/DB/query/",
        "/d1/DB/query/x", "//d1/DB/query", "/D1/DB/query", "/constructor", "/__proto__/a/b", "/d1/DB/toString",
        "/kv/KV/constructor", "/kv/KV", "/kv/KV/get/x", "/%64%31/DB/query", "/d1/DB/query%00", "/d1/DB\\query/x/" } do
        refused(404, "PATH", path)
      end
    end)

    it("take POST only", function()
      for _, method in ipairs { "GET", "PUT", "DELETE", "PATCH", "OPTIONS" } do
        refused(405, "METHOD", "/d1/DB/query", nil, { method = method })
        refused(405, "METHOD", "/kv/KV/list", nil, { method = method })
      end
    end)

    it("need a binding that is on the list", function()
      for _, name in ipairs { "EAST", "db", "KV", "SECRETS", "PLAIN", "COLLEGEDB_TOKEN", "constructor", "", "%44B",
        "DB,WEST" } do
        refused(404, "BINDING", "/d1/" .. name .. "/query", { sql = "SELECT 1" })
      end
      for _, name in ipairs { "DB", "SECRETS", "COLLEGEDB_READ_TOKEN" } do
        refused(404, "BINDING", "/kv/" .. name .. "/list")
      end
      local message = refused(503, "CONFIG", "/d1/GONE/query", { sql = "SELECT 1" })
      assert.matches("COLLEGEDB_DATABASES names a binding that is not there: GONE", message)
      assert.equal(200, (ask("/d1/WEST/query", { sql = "SELECT 1" })))
    end)
  end)

  describe("tokens", function()
    it("are needed on every path, also where nothing is", function()
      local wrong = { false, "x", gateway.token:sub(1, -2), gateway.token .. "t", gateway.token:upper(), "Bearer",
        gateway.read_token .. gateway.token, ("t"):rep(3000) }
      for _, path in ipairs { "/d1/DB/query", "/kv/KV/get", "/nothing" } do
        for _, token in ipairs(wrong) do refused(401, "TOKEN", path, { sql = "SELECT 1" }, { token = token }) end
      end
      for _, header in ipairs { gateway.token, "bearer " .. gateway.token, "Basic " .. gateway.token,
        "Bearer  " .. gateway.token, "Bearer " .. gateway.token .. ", Bearer x", "Bearer \xc3\xa9" } do
        refused(401, "TOKEN", "/d1/DB/query", { sql = "SELECT 1" },
          { token = false, headers = { Authorization = header } })
      end
    end)

    it("may be several, while one takes the place of another", function()
      local both = gateway.start { databases = { "DB" }, vars = { COLLEGEDB_TOKEN = "first-token second-token\n" } }
      local function status(token)
        return (gateway.ask { url = both.url .. "/d1/DB/query", body = { sql = "SELECT 1" }, token = false,
          headers = { Authorization = "Bearer " .. token } })
      end
      for _, token in ipairs { "first-token", "second-token", gateway.read_token } do
        assert.equal(200, status(token))
      end
      for _, token in ipairs { "first-token second-token", "first", "token", "" } do
        assert.equal(401, status(token))
      end
      both.stop()
    end)

    it("that are not set let nobody in", function()
      local none = gateway.start { databases = { "DB" }, vars = { COLLEGEDB_TOKEN = "", COLLEGEDB_READ_TOKEN = "" } }
      for _, token in ipairs { "", "x", gateway.token } do
        local status, _, code = gateway.ask { url = none.url .. "/d1/DB/query", body = "{}", token = false,
          headers = { Authorization = "Bearer " .. token } }
        assert.equal("503 CONFIG", status .. " " .. code)
      end
      none.stop()
    end)
  end)

  describe("the token that only reads", function()
    local function reads(sql, more)
      local body = { sql = sql }
      for name, value in pairs(more or {}) do body[name] = value end
      return ask("/d1/DB/query", body, { token = gateway.read_token })
    end

    it("reads", function()
      for _, sql in ipairs { "SELECT * FROM t", "select 1;", "VALUES (1)",
        "  /* so */ WITH a AS (SELECT 1) SELECT * FROM a -- end",
        "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a WHERE x < 5) SELECT * FROM a",
        "EXPLAIN DELETE FROM t", "EXPLAIN QUERY PLAN UPDATE t SET v = 1", "PRAGMA table_info(t)",
        "PRAGMA main.index_list('t')", "PRAGMA foreign_key_check", "SELECT ';' AS \"--\", '/*' AS [it's], 2 AS `a\"b`",
        "SELECT * FROM pragma_table_info('t')", "SELECT replace('DELETE', 'E', 'x') AS \"INSERT\"",
        "SELECT v -> '$' FROM (SELECT '{}' AS v)" } do
        local status, _, _, message = reads(sql)
        assert.equal(200, status, sql .. ": " .. tostring(message))
      end
      assert.equal(200, (ask("/d1/DB/batch", { statements = { { sql = "SELECT 1", reads = true } } },
        { token = gateway.read_token })))
    end)

    -- Each would change something, or is two statements.
    local tricks = { "DELETE FROM t", "insert into t values (3, 'x')", "REPLACE INTO t VALUES (1, 'x')",
      "UPDATE t SET v = 1", "DROP TABLE t", "CREATE TABLE x (a)", "ALTER TABLE t ADD COLUMN x", "REINDEX", "ANALYZE",
      "VACUUM", "BEGIN", "COMMIT", "ATTACH ':memory:' AS x", "PRAGMA writable_schema = 1", "PRAGMA writable_schema(1)",
      "PRAGMA user_version = 5", "PRAGMA table_info = t", "PRAGMA optimize", "EXPLAIN PRAGMA user_version = 5",
      "WITH a AS (SELECT 1) DELETE FROM t", "WITH a AS (SELECT 1) INSERT INTO t SELECT 3, 'x'",
      "WITH a AS (SELECT 1) /* SELECT */ UPDATE t SET v = 1", "WITH \"SELECT\" AS (SELECT 1) DELETE FROM t",
      "WITH replace AS (SELECT 1) DELETE FROM t", "/**/DELETE/**/FROM t", "-- SELECT\nDELETE FROM t",
      "\239\187\191DELETE FROM t", "SELECT 1; DELETE FROM t", "SELECT 1;DELETE FROM t;", "SELECT ';'; DELETE FROM t",
      "SELECT 1 /* ; */; DELETE FROM t", "SELECT 'it''s'; DELETE FROM t -- '", "SELECT \"a\"\";\"; DELETE FROM t",
      "SELECT `a``;`; DELETE FROM t", "SELECT [a;]; DELETE FROM t --]", "SELECT 1 --\n; DELETE FROM t",
      "SELECT /*/ 1; DELETE FROM t /*/ 1 */; DELETE FROM t", "SELECT $x('), 1; DELETE FROM t --')",
      "SELECT :x('), 1; DELETE FROM t --')", "SELECT @x(\"), 1; DELETE FROM t --\")",
      "EXPLAIN SELECT 1; DELETE FROM t; CREATE TRIGGER x", "EXPLAIN CREATE TRIGGER x; DELETE FROM t; END",
      "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM t; END", "SELECT * FROM pragma_optimize(0xfffe)",
      "SELECT * FROM main.\"pragma_Optimize\"(65534)", "SELECT * FROM [PRAGMA_optimize](-1)",
      "SELECT 1 FROM `pragma_optimize`", "SELECT 1\0; DELETE FROM t", "SELECT 'a; DELETE FROM t",
      "SELECT 1 /* ' */; DELETE FROM t -- '", "; DELETE FROM t", "", ";", "-- SELECT" }

    it("writes by no trick", function()
      local function state()
        local _, answer = query [[SELECT group_concat(name || sql) FROM sqlite_master
          UNION ALL SELECT group_concat(v) FROM t]]
        return json.encode(answer.result[1].results.rows)
      end
      local before = state()
      for _, sql in ipairs(tricks) do
        local status, _, code = reads(sql)
        assert.is_true(status == 400 and code == "REQUEST" or status == 403 and code == "READONLY",
          sql .. ": " .. status)
        status = reads(sql, { write = gateway.write_token() })
        assert.is_true(status == 400 or status == 403, sql)
        status = ask("/d1/DB/batch", { statements = { { sql = "SELECT 1", reads = true }, { sql = sql,
          reads = true } } },
          { token = gateway.read_token })
        assert.is_true(status == 400 or status == 403, sql)
      end
      assert.equal(before, state())
    end)

    it("has no use for a write's token", function()
      refused(403, "READONLY", "/d1/DB/query", { sql = "SELECT 1", write = gateway.write_token() },
        { token = gateway.read_token })
    end)

    it("reads KV, and writes nothing there", function()
      for path, body in pairs { put = { entries = { { key = "a", value = "b" } } }, delete = { keys = { "a" } } } do
        refused(403, "READONLY", "/kv/KV/" .. path, body, { token = gateway.read_token })
      end
      for path, body in pairs { get = { keys = { "a" } }, list = json.object {} } do
        assert.equal(200, (ask("/kv/KV/" .. path, body, { token = gateway.read_token })))
      end
    end)
  end)

  describe("requests", function()
    it("without a write's token change nothing", function()
      refused(400, "REQUEST", "/d1/DB/query", { sql = "DELETE FROM t" })
      refused(400, "REQUEST", "/d1/DB/batch", { statements = { { sql = "DELETE FROM t" } } })
      local _, answer = query "SELECT count(*) AS n FROM t"
      assert.equal(2, answer.result[1].results.rows[1][1])
    end)

    it("that are none are told so", function()
      for _, body in ipairs { "", "x", "[]", "null", "1", '"text"', "{", "{}x", '{"sql":"SELECT 1"}\0', "\xff\xfe",
        '{"sql":"\xff"}', '{"sql":1}', '{"sql":null}', '{"sql":""}', '{"sql":["SELECT 1"]}',
        '{"sql":"SELECT ?","params":[1]}', '{"sql":"SELECT ?","params":[true]}', '{"sql":"SELECT ?","params":[["a"]]}',
        '{"sql":"SELECT ?","params":{"0":"a"}}', '{"sql":"SELECT ?","params":"a"}',
        '{"sql":"SELECT ?","params":["\\ud800"]}', '{"sql":"SELECT 1 \\udfff"}', '{"sql":"SELECT 1","named":1}',
        '{"sql":"SELECT 1","session":1}', '{"sql":"SELECT 1","session":""}',
        '{"sql":"SELECT 1","session":"first-elsewhere"}', '{"sql":"SELECT 1","session":"a b"}',
        '{"sql":"SELECT 1","write":null}', '{"sql":"SELECT 1","write":1}', '{"sql":"SELECT 1","write":""}',
        ("[" ):rep(100000), '{"sql":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}" } do
        refused(400, "REQUEST", "/d1/DB/query", body)
      end
      for _, body in ipairs { "{}", '{"statements":{}}', '{"statements":[]}', '{"statements":[null]}',
        '{"statements":["SELECT 1"]}', '{"statements":[{}]}',
        '{"statements":[{"sql":"SELECT 1"},{"sql":"DELETE FROM t"}]}',
        '{"statements":[{"sql":"DELETE FROM t","reads":true}],"write":"' .. gateway.write_token() .. '"}' } do
        refused(400, "REQUEST", "/d1/DB/batch", body)
      end
      for path, bodies in pairs {
        get = { "{}", '{"keys":"a"}', '{"keys":[1]}', '{"keys":["."]}', '{"keys":[".."]}', '{"keys":[""]}',
          '{"keys":["a","a"]}', json.encode { keys = { ("k"):rep(513) } }, '{"keys":["\\ud800"]}' },
        put = { "{}", '{"entries":[null]}', '{"entries":[{"key":"a"}]}', '{"entries":[{"key":"a","value":1}]}',
          '{"entries":[{"key":"a","value":"b","expiration_ttl":59}]}',
            '{"entries":[{"key":"a","value":"b","expiration_ttl":"90"}]}',
          json.encode { entries = { { key = "a", value = "b", metadata = ("m"):rep(1025) } } } },
        delete = { "{}", '{"keys":{}}' },
        list = { '{"limit":0}', '{"limit":1001}', '{"limit":"1"}', '{"prefix":1}', '{"cursor":1}' },
      } do
        for _, body in ipairs(bodies) do refused(400, "REQUEST", "/kv/KV/" .. path, body) end
      end
    end)

    it("have a size, told before or not", function()
      local text = ("x"):rep(8 << 20)
      local body = json.encode { sql = "SELECT 1", params = { text } }
      refused(413, "SIZE", "/d1/DB/query", body)
      refused(413, "SIZE", "/d1/DB/query", body, { headers = { ["Transfer-Encoding"] = "chunked" } })
      refused(413, "SIZE", "/kv/KV/put", body)
      local status, _, code = query("SELECT length(?1)", { params = { ("x"):rep(100) } })
      assert.equal(200, status, code)
      refused(400, "SQL", "/d1/DB/query", { sql = "SELECT '" .. ("x"):rep(100000) .. "'" })
    end)

    it("may name a session, and get a bookmark", function()
      for _, session in ipairs { "first-primary", "first-unconstrained" } do
        local status, answer = query("SELECT 1", { session = session })
        assert.equal(200, status)
        assert.equal(200, (query("SELECT 1", { session = answer.bookmark })))
      end
    end)
  end)

  describe("answers", function()
    it("have rows with columns of one name, and none", function()
      local _, answer = query "SELECT id, v, id FROM t ORDER BY id"
      assert.same({ columns = { "id", "v", "id" }, rows = { { 1, "one", 1 }, { 2, "two", 2 } } },
        answer.result[1].results)
      _, answer = query "SELECT id, v FROM t WHERE id > 9"
      assert.same({ columns = { "id", "v" }, rows = {} }, answer.result[1].results)
      _, answer = query("SELECT v, id FROM t WHERE v = ?1", { params = { "two" }, named = true })
      assert.same({ columns = { "v", "id" }, rows = { { "two", 2 } } }, answer.result[1].results)
      assert.equal(1, answer.result[1].meta.rows_read)
    end)

    it("of a statement that fails have D1's message", function()
      assert.matches("no such table: absent", refused(400, "SQL", "/d1/DB/query", { sql = "SELECT * FROM absent" }))
      assert.matches("syntax error", refused(400, "SQL", "/d1/DB/query", { sql = "SELECT FROM" }))
      assert.matches("parameter", refused(400, "SQL", "/d1/DB/query", { sql = "SELECT ?1", params = { "a", "b" } }))
      local status, _, code, message = run("INSERT INTO t VALUES (9, ?1)", { "one" })
      assert.equal("400 SQL", status .. " " .. code)
      assert.matches("UNIQUE constraint failed: t.v", message)
    end)

    it("of a batch that fails tell no values of its statements", function()
      local message = refused(400, "SQL", "/d1/DB/batch", { write = gateway.write_token(), statements = {
        { sql = "INSERT INTO t VALUES (7, ?1)", params = { "a secret value" } },
        { sql = "INSERT INTO t VALUES (8, ?1)", params = { "one" } } } })
      assert.is_nil(message:find("secret", 1, true))
    end)
  end)

  describe("wrangler's settings", function()
    local function read(path)
      local file <close> = assert(io.open(path))
      return file:read "a"
    end

    it("are of this Worker, tested with the same engine", function()
      local text = {}
      for line in read "worker/wrangler.jsonc":gmatch "[^\n]*" do text[#text + 1] = line:gsub("%s*//%s.*", "") end
      local settings = json_reader.decode(table.concat(text, "\n"))
      local source = read("worker/" .. settings.main)
      for _, class in ipairs(settings.migrations[1].new_sqlite_classes) do
        assert.matches("export { " .. class .. " }", source, 1, true)
      end
      for i, binding in ipairs(settings.durable_objects.bindings) do
        assert.equal(settings.migrations[1].new_sqlite_classes[i], binding.class_name)
      end
      assert.matches(settings.compatibility_date, read "spec/engine/gateway.mjs", 1, true)
      for _, database in ipairs(settings.d1_databases) do
        assert.matches(database.binding, settings.vars.COLLEGEDB_DATABASES, 1, true)
      end
    end)
  end)

  describe("KV", function()
    it("puts, gets, lists by pages, and deletes", function()
      local entries, keys = {}, {}
      for i = 1, 100 do
        keys[i] = ("key/%03d é %%"):format(i)
        entries[i] = { key = keys[i], value = ("value %d\n"):format(i) }
      end
      entries[1].metadata, entries[2].expiration_ttl = { a = 1 }, 60
      local _, answer = ask("/kv/KV/put", { entries = entries })
      assert.same({}, answer.unsuccessful)
      _, answer = ask("/kv/KV/get", { keys = keys })
      for i, key in ipairs(keys) do assert.equal(entries[i].value, answer.values[key]) end
      local found, cursor = {}, nil
      repeat
        _, answer = ask("/kv/KV/list", { prefix = "key/", limit = 30, cursor = cursor })
        table.move(answer.keys, 1, #answer.keys, #found + 1, found)
        cursor = answer.cursor
      until not cursor or cursor == json.null
      assert.same(keys, found)
      _, answer = ask("/kv/KV/delete", { keys = keys })
      assert.same({}, answer.unsuccessful)
      _, answer = ask("/kv/KV/list", json.object {})
      assert.same({}, answer.keys)
    end)
  end)
end)
