-- Writes through the gateway Worker: each is done once, however often and in whatever order its request comes.

local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local net = require "collegedb.net"

describe("writes through the gateway", function()
  local worker

  if gateway.skips(it, function(why) pending(why) end) then return end

  setup(function() worker = gateway.start { databases = { "DB" } } end)

  teardown(function()
    net.close()
    worker.stop()
  end)

  local function send(path, body) return gateway.ask { url = worker.url .. "/d1/DB/" .. path, body = body } end

  ---The first result of a statement that is done.
  local function query(sql, params)
    local status, answer, _, message = send("query", { sql = sql, params = params })
    assert.equal(200, status, message)
    return answer.result[1]
  end

  local function write(sql, params, token)
    return send("query", { sql = sql, params = params, write = token or gateway.write_token() })
  end

  ---The answer of a write that is done.
  local function done(...)
    local status, answer, _, message = write(...)
    assert.equal(200, status, message)
    return answer
  end

  local function told(answer, i)
    local meta = answer.result[i or 1].meta
    return ("%s %s"):format(meta.changes, meta.last_row_id)
  end

  local function count(where) return query("SELECT count(*) FROM t " .. (where or "")).results.rows[1][1] end

  local function batch(statements, token)
    return send("batch", { statements = statements, write = token or gateway.write_token() })
  end

  before_each(function()
    done "DROP TABLE IF EXISTS t"
    done "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)"
  end)

  it("tell what they changed", function()
    done "INSERT INTO t VALUES (10, 'ten')"
    assert.equal("2 12", told(done "INSERT INTO t (v) VALUES ('a'), ('b')"))
    assert.equal("3", done "UPDATE t SET v = v || '!'".result[1].meta.changes)
    assert.equal("0", done "DELETE FROM t WHERE id > 100".result[1].meta.changes)
    assert.equal("0 12", told(done "INSERT OR IGNORE INTO t (v) VALUES ('a!')"))
    assert.equal("1 9007199254740993", told(done "INSERT INTO t VALUES (9007199254740993, 'far')"))
    assert.equal("4", done "WITH far AS (SELECT 1) DELETE FROM t".result[1].meta.changes)
  end)

  it("count neither the rows of triggers nor those of their record, nor what was counted before", function()
    done "CREATE TABLE IF NOT EXISTS log (what TEXT)"
    done [[CREATE TRIGGER logged AFTER INSERT ON t
      BEGIN INSERT INTO log VALUES (NEW.v); INSERT INTO log VALUES (NEW.id); END; -- so]]
    assert.equal("2", done "INSERT INTO t (v) VALUES ('a'), ('b')".result[1].meta.changes)
    for _, sql in ipairs { "CREATE TABLE IF NOT EXISTS log (what TEXT)", "CREATE INDEX by_v ON t (v)", "ANALYZE t",
      "ALTER TABLE t ADD COLUMN w", "DROP TABLE log" } do
      assert.equal("0", done(sql).result[1].meta.changes, sql)
    end
  end)

  it("give rows back", function()
    local answer = done("INSERT INTO t (v) VALUES (?1), (?2) RETURNING v, id", { "a", "b" })
    assert.same({ columns = { "v", "id" }, rows = { { "a", 1 }, { "b", 2 } } }, answer.result[1].results)
    assert.equal("2 2", told(answer))
  end)

  it("are done once when they come again", function()
    local token = gateway.write_token()
    done("INSERT INTO t (v) VALUES ('first')")
    local first = done("INSERT INTO t (v) VALUES ('a'), ('b')", nil, token)
    assert.is_nil(first.repeated)
    done("INSERT INTO t (v) VALUES ('between')")
    local again = done("INSERT INTO t (v) VALUES ('a'), ('b')", nil, token)
    assert.is_true(again.repeated)
    assert.equal(told(first), told(again))
    assert.equal(4, count())
  end)

  it("are done once when they would succeed again", function()
    done "INSERT INTO t VALUES (1, '0')"
    local token = gateway.write_token()
    for i = 1, 5 do
      local answer = done("UPDATE t SET v = v + 1", nil, token)
      assert.equal(i > 1 or nil, answer.repeated)
      assert.equal("1", answer.result[1].meta.changes)
    end
    assert.equal("1", query("SELECT v FROM t").results.rows[1][1])
  end)

  it("are done once when twenty come at the same time", function()
    for round = 1, 5 do
      local body = json.encode { sql = "INSERT INTO t (v) VALUES ('r' || ?1 || random())", params = { tostring(round) },
        write = gateway.write_token() }
      local requests = {}
      for i = 1, 20 do
        requests[i] = { url = worker.url .. "/d1/DB/query", body = body, token = gateway.token, write = false }
      end
      local first, told_all = 0, {}
      for _, answer in ipairs(net.perform(requests)) do
        assert.equal(200, answer.status, answer.body)
        if not answer.body:find('"repeated":true', 1, true) then first = first + 1 end
        told_all[answer.body:match '"last_row_id":"(%d+)"'] = true
      end
      assert.equal(1, first)
      assert.equal(round, count())
      assert.is_nil(next(told_all, (next(told_all))), "all tell the same row")
    end
  end)

  it("that failed are not done by a copy that comes later", function()
    done "INSERT INTO t VALUES (1, 'a')"
    local token = gateway.write_token()
    local status, _, code, message = write("INSERT INTO t VALUES (2, 'a')", nil, token)
    assert.equal("400 SQL", status .. " " .. code)
    assert.matches("UNIQUE constraint failed: t.v", message)
    -- it would fail again, by itself
    status, _, code, message = write("INSERT INTO t VALUES (2, 'a')", nil, token)
    assert.equal("400 SQL", status .. " " .. code)
    assert.matches("UNIQUE constraint failed: t.v", message)
    -- it would succeed now
    done "DELETE FROM t"
    status, _, code, message = write("INSERT INTO t VALUES (2, 'a')", nil, token)
    assert.equal("400 SQL", status .. " " .. code)
    assert.equal("this write has failed before", message)
    assert.equal(0, count())
  end)

  it("fail once and for all when twenty come at the same time", function()
    done "INSERT INTO t VALUES (1, 'a')"
    local body = json.encode { sql = "INSERT INTO t VALUES (2, 'a')", write = gateway.write_token() }
    local requests = {}
    for i = 1, 20 do
      requests[i] = { url = worker.url .. "/d1/DB/query", body = body, token = gateway.token, write = false }
    end
    for _, answer in ipairs(net.perform(requests)) do assert.equal(400, answer.status) end
    assert.equal(1, count())
  end)

  it("take a token of these ten minutes", function()
    for _, ago in ipairs { 11 * 60000, -11 * 60000, 1e12 // 1 | 0 } do
      local status, answer, code, message = write("DELETE FROM t", nil, gateway.write_token(ago))
      assert.equal("409 CLOCK", status .. " " .. code)
      local now = answer.errors[1].now
      assert.is_true(math.abs(now - os.time() * 1000) < 60000)
      assert.matches(tostring(now), message, 1, true)
    end
    for _, ago in ipairs { 9 * 60000, -9 * 60000 } do done("DELETE FROM t", nil, gateway.write_token(ago)) end
    for _, token in ipairs { "x", ("a"):rep(44), gateway.write_token():upper() .. "G", gateway.write_token() .. "0",
      " " .. gateway.write_token() } do
      local status, _, code = write("DELETE FROM t", nil, token)
      assert.equal("400 REQUEST", status .. " " .. code)
    end
  end)

  it("are one statement", function()
    for _, sql in ipairs { "INSERT INTO t VALUES (1, 'a'); INSERT INTO t VALUES (2, 'b')",
      "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END; DELETE FROM t",
      "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; END; DROP TABLE t" } do
      local status, _, code = write(sql)
      assert.equal("400 REQUEST", status .. " " .. code, sql)
    end
    for _, sql in ipairs { "BEGIN", "COMMIT", "SAVEPOINT x", "PRAGMA writable_schema = 1", "ATTACH ':memory:' AS x" } do
      local status, _, code = write(sql)
      assert.equal("400 SQL", status .. " " .. code, sql)
    end
  end)

  it("leave no record in a database that is only read", function()
    local other = gateway.start { databases = { "DB" } }
    local function ask(body) return gateway.ask { url = other.url .. "/d1/DB/query", body = body } end
    ask { sql = "SELECT 1" }
    local _, answer = ask { sql = "SELECT count(*) FROM sqlite_master WHERE name = '_collegedb_applied'" }
    assert.equal(0, answer.result[1].results.rows[1][1])
    -- the first write may be one that fails
    local token = gateway.write_token()
    local status = ask { sql = "INSERT INTO absent VALUES (1)", write = token }
    assert.equal(400, status)
    ask { sql = "CREATE TABLE absent (a)", write = gateway.write_token() }
    local _, _, _, message = ask { sql = "INSERT INTO absent VALUES (1)", write = token }
    assert.equal("this write has failed before", message)
    other.stop()
  end)

  it("are forgotten when their time is over", function()
    for _, ago in ipairs { 12, 15, 600 } do
      done("INSERT INTO _collegedb_applied VALUES (?1, 0, 1, 1)", { gateway.write_token(ago * 60000) })
    end
    local function old()
      return query("SELECT count(*) FROM _collegedb_applied WHERE op < ?1",
        { gateway.write_token(10.5 * 60000 // 1 | 0) })
        .results.rows[1][1]
    end
    assert.equal(3, old())
    local many = {}
    for i = 1, 500 do many[i] = { sql = "DELETE FROM t" } end
    local status, _, _, message = batch(many)
    assert.equal(200, status, message)
    local tries = 0
    repeat tries = tries + 1 until old() == 0 or tries > 100
    assert.equal(0, old())
    assert.is_true(query("SELECT count(*) FROM _collegedb_applied").results.rows[1][1] >= 500)
  end)

  describe("in a batch", function()
    it("are all done, in their order", function()
      local status, answer, _, message = batch {
        { sql = "INSERT INTO t (v) VALUES (?1)", params = { "a" } },
        { sql = "SELECT count(*) AS n FROM t", reads = true },
        { sql = "INSERT INTO t (v) VALUES ('b'), ('c') RETURNING id AS number, v" },
        { sql = "SELECT v FROM t WHERE id > 99", reads = true },
        { sql = "UPDATE t SET v = v || '!'" },
      }
      assert.equal(200, status, message)
      assert.equal(5, #answer.result)
      assert.equal("1 1", told(answer, 1))
      assert.same({ columns = { "n" }, rows = { { 1 } } }, answer.result[2].results)
      assert.same({ columns = { "number", "v" }, rows = { { 2, "b" }, { 3, "c" } } }, answer.result[3].results)
      assert.same({ columns = {}, rows = {} }, answer.result[4].results)
      assert.equal("3", answer.result[5].meta.changes)
    end)

    it("are done or not done together", function()
      local token = gateway.write_token()
      local statements = { { sql = "INSERT INTO t VALUES (1, 'a')" }, { sql = "CREATE TABLE made (a)" },
        { sql = "INSERT INTO t VALUES (2, 'a')" }, { sql = "INSERT INTO t VALUES (3, 'c')" } }
      for _ = 1, 2 do
        local status, _, code = batch(statements, token)
        assert.equal("400 SQL", status .. " " .. code)
        assert.equal(0, count())
        assert.equal(0, query("SELECT count(*) FROM sqlite_master WHERE name = 'made'").results.rows[1][1])
      end
    end)

    it("are done once when they come again", function()
      local token = gateway.write_token()
      local statements = { { sql = "INSERT INTO t (v) VALUES (hex(randomblob(8)))" }, { sql = "SELECT 1 AS one",
        reads = true },
        { sql = "INSERT INTO t (v) VALUES (hex(randomblob(8))), (hex(randomblob(8)))" } }
      local _, first = batch(statements, token)
      local _, again = batch(statements, token)
      assert.is_true(again.repeated)
      assert.equal("1 1, 2 3", told(first, 1) .. ", " .. told(first, 3))
      assert.equal("1 1, 2 3", told(again, 1) .. ", " .. told(again, 3))
      assert.equal(3, count())
    end)

    it("may be a thousand", function()
      local statements = {}
      for i = 1, 1000 do statements[i] = { sql = "INSERT INTO t (v) VALUES (?1)", params = { "row " .. i } } end
      local status, answer, _, message = batch(statements)
      assert.equal(200, status, message)
      assert.equal("1 1000", told(answer, 1000))
      assert.equal(1000, count())
    end)

    it("that only read take no token", function()
      local status, answer = send("batch", { statements = { { sql = "SELECT 1 AS a" }, { sql = "SELECT 2 AS b",
        reads = true } } })
      assert.equal(200, status)
      assert.same({ { 2 } }, answer.result[2].results.rows)
    end)
  end)
end)
