-- The gateway before a D1 that fails: what is answered, and that a write whose outcome is not known can be asked for
-- again. D1's failures are its own words (developers.cloudflare.com/d1/observability/debug-d1).

local gateway = require "spec.support.gateway"
local net = require "collegedb.net"

describe("a D1 that fails behind the gateway", function()
  local worker

  if gateway.skips(it, function(why) pending(why) end) then return end

  setup(function() worker = gateway.start { databases = { "DB" }, worker = "spec/engine/faulty_d1/index.js" } end)

  teardown(function()
    net.close()
    worker.stop()
  end)

  local function send(body, fault, when)
    return gateway.ask { url = worker.url .. "/d1/DB/" .. (body.statements and "batch" or "query"), body = body,
      headers = fault and { ["x-fault"] = fault, ["x-when"] = when or "before" } }
  end

  local function done(body)
    local status, answer, _, message = send(body)
    assert.equal(200, status, message)
    return answer
  end

  local function write(sql, token) return { sql = sql, write = token or gateway.write_token() } end

  local function count() return done { sql = "SELECT count(*) FROM t" }.result[1].results.rows[1][1] end

  before_each(function()
    done(write "DROP TABLE IF EXISTS t")
    done(write "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
  end)

  -- { what D1 says, status, code }
  local failures = {
    { "D1_ERROR: D1 DB is overloaded. Requests queued for too long.", 429, "BUSY" },
    { "D1_ERROR: D1 DB is overloaded. Too many requests queued.", 429, "BUSY" },
    { "D1_ERROR: Network connection lost.", 500, "FAILED" },
    { "D1_ERROR: Internal error while starting up D1 DB storage caused object to be reset.", 500, "FAILED" },
    { "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.", 500, "FAILED" },
    { "D1_ERROR: D1 DB's isolate exceeded its memory limit and was reset.", 500, "FAILED" },
    { "D1_ERROR: disk I/O error: SQLITE_IOERR (extended: SQLITE_IOERR_READ)", 500, "FAILED" },
    { "D1_ERROR: interrupted: SQLITE_INTERRUPT", 500, "FAILED" },
    { "D1_ERROR: Invalid bookmark: x", 400, "REQUEST" },
    { "D1_ERROR: database or disk is full: SQLITE_FULL", 400, "SQL" },
    { "D1_ERROR: Network connection lost: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_TRIGGER)", 400, "SQL" },
    { "something else", 500, "FAILED" },
  }

  for _, case in ipairs(failures) do
    it("and says " .. case[1], function()
      for _, body in ipairs { { sql = "SELECT 1" }, { sql = "SELECT 1", named = true },
        { statements = { { sql = "SELECT 1 AS a" } } }, write "INSERT INTO t VALUES (1, 'a')" } do
        local status, _, code, message = send(body, case[1])
        assert.equal(("%d %s %s"):format(case[2], case[3], case[1]), ("%d %s %s"):format(status, code, message))
      end
      assert.equal(0, count())
    end)
  end

  it("leaves a write open that was not done", function()
    local body = write "INSERT INTO t (v) VALUES ('a')"
    for _, fault in ipairs { "D1_ERROR: Network connection lost.", "D1_ERROR: D1 DB is overloaded." } do
      assert.not_equal(200, (send(body, fault, "before")))
    end
    local answer = done(body)
    assert.is_nil(answer.repeated)
    assert.equal(1, count())
  end)

  it("leaves a write open whose failure could not be recorded", function()
    done(write "INSERT INTO t VALUES (1, 'a')")
    local body = write "INSERT INTO t VALUES (1, 'b')"
    local fault = "D1_ERROR: database or disk is full: SQLITE_FULL"
    local status, _, code, message = send(body, fault, "again")
    assert.equal("500 FAILED " .. fault, status .. " " .. code .. " " .. message)
    status, _, code, message = send(body)
    assert.equal("400 SQL", status .. " " .. code)
    assert.matches("UNIQUE constraint failed", message)
  end)

  it("has done a write whose answer is lost, which is told when it comes again", function()
    local body = write "INSERT INTO t (v) VALUES ('a'), ('b')"
    local status, _, code = send(body, "D1_ERROR: Network connection lost.", "after")
    assert.equal("500 FAILED", status .. " " .. code)
    local answer = done(body)
    assert.is_true(answer.repeated)
    assert.equal("2 2", answer.result[1].meta.changes .. " " .. answer.result[1].meta.last_row_id)
    assert.equal(2, count())
  end)

  it("has done a batch whose answer is lost, which is told when it comes again", function()
    local body = { write = gateway.write_token(), statements = { { sql = "INSERT INTO t (v) VALUES ('a')" },
      { sql = "UPDATE t SET v = v || '!'" } } }
    assert.equal(500, (send(body, "D1_ERROR: Network connection lost.", "after")))
    assert.is_true(done(body).repeated)
    assert.equal(1, done { sql = "SELECT count(*) FROM t WHERE v = 'a!'" }.result[1].results.rows[1][1])
  end)
end)
