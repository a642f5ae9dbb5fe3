-- "ſelect" in capitals is SELECT for JavaScript, and a name as any other for SQLite; a byte order mark was a part of
-- the word behind it for the Worker, and is a space for SQLite. Statements that write were taken for ones that read,
-- also from the token that may only read.

local gateway = require "spec.support.gateway"
local net = require "collegedb.net"

describe("regress 330: words beyond ASCII", function()
  local worker

  if gateway.skips(it, function(why) pending(why) end) then return end

  setup(function() worker = gateway.start { databases = { "DB" } } end)
  teardown(function()
    net.close()
    worker.stop()
  end)

  local function ask(sql, token)
    return gateway.ask { url = worker.url .. "/d1/DB/query", token = token,
      body = { sql = sql, write = token ~= gateway.read_token and gateway.write_token() or nil } }
  end

  it("make no statement one that reads", function()
    assert.equal(200, (ask "CREATE TABLE t (id)"))
    assert.equal(200, (ask "INSERT INTO t VALUES (1), (2)"))
    for _, sql in ipairs {
      "WITH ſelect(a) AS (SELECT 1) DELETE FROM t", "WITH x AS (SELECT 1), valueſ AS (SELECT 1) DELETE FROM t",
      "WITH x(a) AS (SELECT 1) \u{feff}INSERT INTO t SELECT 7", "\u{feff}DELETE FROM t",
      "SELECT * FROM \u{feff}pragma_optimize", "EXPLAIN \u{feff}PRAGMA optimize",
    } do
      local status, _, code = ask(sql, gateway.read_token)
      assert.same({ 403, "READONLY" }, { status, code }, sql)
    end
    local _, answer = ask("SELECT id FROM t", gateway.read_token)
    assert.same({ { 1 }, { 2 } }, answer.result[1].results.rows)
  end)

  it("are counted, and stand where SQLite takes them", function()
    assert.equal(200, (ask "CREATE TABLE u (ſ)"))
    local _, answer = ask "WITH ſelect(a) AS (SELECT 1) INSERT INTO u SELECT a FROM ſelect"
    assert.equal("1", answer.result[1].meta.changes)
    local status, read = ask("\u{feff}SELECT ſ FROM u", gateway.read_token)
    assert.same({ 200, { { 1 } } }, { status, read.result[1].results.rows })
  end)
end)
