-- A D1 database whose service goes wrong: the right error or the right retry, never a second write, never "no row"
-- for what is no answer, and the token in no message.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"

local TOKEN <const> = "secret-token-9876543210"

local function rows(columns, cells)
  return ('{"success":true,"errors":[],"messages":[],"result":[{"success":true,"meta":{"changes":1,"last_row_id":7},'
    .. '"results":{"columns":%s,"rows":%s}}]}'):format(columns, cells)
end

local function said(message, code)
  return ('{"success":false,"errors":[{"code":%d,"message":"%s"}],"messages":[],"result":null}'):format(code, message)
end

local good <const> = rows('["id"]', '[["a"]]')
local function answers(status, body, headers) return faults.answers(status, body, headers) end

-- { what, step, code of a read, code of a write }
local cases = {
  { "closes without an answer", {}, "UNAVAILABLE" },
  { "resets in the middle", { send = faults.answer(200, good):sub(1, -10), ending = "reset" }, "UNAVAILABLE" },
  { "cuts the answer off, with no length", { send = "HTTP/1.0 200 OK\r\n\r\n" .. good:sub(1, -10) }, "UNAVAILABLE" },
  { "stalls", { ending = "stall" }, "TIMEOUT" },
  { "answers nothing", answers(200, ""), "UNAVAILABLE" },
  { "answers with a page", faults.html(200), "UNAVAILABLE" },
  { "answers with other JSON", answers(200, "[1,2]"), "UNAVAILABLE" },
  { "answers with JSON and more", answers(200, good .. "x"), "UNAVAILABLE" },
  { "answers with an empty object", answers(200, "{}"), "UNAVAILABLE" },
  { "answers without a result", answers(200, '{"success":true,"errors":[],"result":[]}'), "UNAVAILABLE" },
  { "answers without rows", answers(200, '{"success":true,"result":[{"success":true}]}'), "UNAVAILABLE" },
  { "answers with rows of another width", answers(200, rows('["id"]', '[["a","b"]]')), "UNAVAILABLE" },
  { "answers with rows that are none", answers(200, rows('["id"]', '[1]')), "UNAVAILABLE" },
  { "answers with columns that are none", answers(200, rows('{"a":1}', '[["a"]]')), "UNAVAILABLE" },
  { "answers with deep JSON", answers(200, ('{"a":'):rep(3000) .. "1" .. ("}"):rep(3000)), "UNAVAILABLE" },
  { "answers with JSON of 200 levels", answers(200, ('{"a":'):rep(200) .. "1" .. ("}"):rep(200)), "UNAVAILABLE" },
  { "answers without success", answers(200, said("nobody knows", 7500)), "UNAVAILABLE" },
  { "answers in part without success", answers(200, '{"success":true,"result":[{"success":false}]}'), "UNAVAILABLE" },
  { "redirects", answers(307, "", "Location: /elsewhere\r\n"), "UNAVAILABLE" },
  { "fails with a page", faults.html(502), "UNAVAILABLE" },
  { "loses its own connection", answers(500, said("D1_ERROR: Network connection lost.", 7500)), "UNAVAILABLE" },
  { "takes too much time", answers(500, said("D1 DB exceeded its CPU time limit and was reset.", 7500)), "BUSY" },
  -- refusals, after which nothing was done
  { "is overloaded", answers(429, said("D1 DB is overloaded. Too many requests queued.", 7500)), "BUSY", "BUSY" },
  { "is overloaded, as a failure", answers(500, said("D1 DB is overloaded. Requests queued for too long.", 7500)),
    "BUSY", "BUSY" },
  { "wants fewer requests", answers(429, said("rate limited", 10000), "Retry-After: 60\r\n"), "RATE_LIMITED",
    "RATE_LIMITED" },
  { "refuses the token", answers(401, said("Authentication error: " .. TOKEN, 10000)), "AUTH", "AUTH" },
  { "refuses access", answers(403, said("no access", 7403)), "AUTH", "AUTH" },
  { "does not know the database", answers(404, said("not found", 7404)), "UNAVAILABLE", "UNAVAILABLE" },
  { "refuses the statement", answers(400, said("near x: syntax error at offset 0: SQLITE_ERROR", 7500)), "SQL", "SQL" },
  { "refuses the row", answers(400, said("UNIQUE constraint failed: SQLITE_CONSTRAINT", 7500)), "CONSTRAINT",
    "CONSTRAINT" },
  { "refuses the row with words of others", answers(500, said("Network connection lost: SQLITE_CONSTRAINT", 7500)),
    "CONSTRAINT", "CONSTRAINT" },
  { "is full", answers(500, said("database or disk is full: SQLITE_FULL", 7500)), "FULL", "FULL" },
  { "says the token", answers(400, said("you sent " .. TOKEN .. ": SQLITE_ERROR", 7500)), "SQL", "SQL" },
}


describe("a D1 database that", function()
  local shard, path, budget

  before_each(function()
    faults.start()
    -- The rate limit of an account is kept to by all programs of this machine, and so by all tests.
    local account = ("spec-%x"):format(core.random())
    path, budget = ("/accounts/%s/d1/database/db/raw"):format(account), net.budget("cloudflare " .. account)
    shard = collegedb.d1 { account = account, database = "db", token = TOKEN, endpoint = faults.origin() .. "/",
      deadline = 0.4 }
  end)
  after_each(function()
    faults.stop()
    net.close()
    if budget:file() then os.remove(budget:file()) end
  end)

  local function check(code, call, ...)
    local began = core.now()
    local err = fixture.raises(code, nil, call, shard, ...)
    assert(core.now() - began < 3000)
    for _, text in pairs(err) do assert.is_nil(tostring(text):find(TOKEN, 1, true), tostring(text)) end
    return err
  end

  for _, case in ipairs(cases) do
    local what, step, read_code, write_code = table.unpack(case)
    it(what, function()
      faults.play_at("/elsewhere", answers(200, good))
      faults.play_at(path, step)
      check(read_code, shard.first, "SELECT id FROM t")
      check(read_code, shard.all, "SELECT id FROM t WHERE id = ?", { "a" })
      local before = faults.count(path)
      check(write_code or "OUTCOME_UNKNOWN", shard.run, "UPDATE t SET id = ?", { 1 })
      check(write_code or "OUTCOME_UNKNOWN", shard.first, "INSERT INTO t VALUES (1) RETURNING id")
      -- A rate limit is kept to: then nothing is sent at all.
      assert(faults.count(path) <= before + 2)
      assert.equal(0, faults.count "/elsewhere")
    end)
  end

  it("comes back after a failure is read again, and is not written again", function()
    faults.play_at(path, answers(500, said("Internal error in D1 DB storage", 7500)), answers(200, good))
    assert.equal("a", shard:first("SELECT id FROM t").id)
    assert.equal(2, faults.count(path))
    assert.matches("Bearer " .. TOKEN, faults.seen(path), 1, true)
  end)

  it("gives values in another form than they were asked for is not believed", function()
    faults.play_at(path, answers(200, rows('["id"]', "[[5]]")), answers(200, rows('["id"]', '[["xyz"]]')))
    check("UNSUPPORTED", shard.first, "SELECT id FROM t")
    check("OUTCOME_UNKNOWN", shard.first, "INSERT INTO t VALUES (1) RETURNING id")
  end)

  it("has many others beside it is asked together with them", function()
    local step = { send = faults.answer(200, good), delay = 50, ending = "keep" }
    local calls = {}
    for i = 1, 16 do
      local name = "many" .. i
      faults.play_at("/d1/database/" .. name .. "/raw", i == 5 and faults.html(404) or step)
      local each = collegedb.d1 { database = name, endpoint = faults.origin(), deadline = 2 }
      calls[i] = { each:open(name), "SELECT id FROM t" }
    end
    local began = core.now()
    local results, failures = core.together(calls, "first")
    assert(core.now() - began < 16 * 50 / 2, core.now() - began)
    for i, result in ipairs(results) do
      assert.equal(i ~= 5 and "a", result and result.id)
      assert.equal(i == 5 and "UNAVAILABLE" or nil, failures[i] and failures[i].code)
    end
  end)
end)
