-- HTTP requests to a server that goes wrong: each gets the right error or the right retry, in time, and a write is
-- never sent twice. What is asked of the server is counted by the server.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local faults = require "spec.support.faults"
local forks = require "forks"
local net = require "collegedb.net"
local process = require "spec.support.process"

local TOKEN <const> = "secret-token-0123456789"

local answers, answer, html = faults.answers, faults.answer, faults.html

---@param fields table further fields of the request
local function ask(path, fields)
  local request = { url = faults.origin(fields.port) .. path, token = TOKEN, body = "{}", deadline = 0.4, attempts = 2 }
  for name, value in pairs(fields) do
    if name ~= "port" then request[name] = value end
  end
  local began = core.now()
  local got = net.perform({ request })[1]
  local took = core.now() - began
  assert(took < request.deadline * 1000 + 2000, ("it took %d ms"):format(took))
  assert(not tostring(got.error):find(TOKEN, 1, true), tostring(got.error))
  assert.is_nil(next(got, nil) and got.code)
  return got
end

-- { what, step, cause, code of a read, code of a write, how often a read arrives }
local cases = {
  { "resets before it has read the body", { read = "head", ending = "reset" }, "LOST", "UNAVAILABLE" },
  { "resets after it has read", { ending = "reset" }, "LOST", "UNAVAILABLE" },
  { "closes without an answer", {}, "LOST", "UNAVAILABLE" },
  { "stalls", { ending = "stall" }, "DEADLINE", "TIMEOUT" },
  { "stalls in the middle of an answer", { send = answer(200, "{}"):sub(1, 30), ending = "stall" }, "DEADLINE",
    "TIMEOUT" },
  { "drips", { send = answer(200, ("x"):rep(100)), drip = 20 }, "DEADLINE", "TIMEOUT" },
  { "cuts an answer off", { send = answer(200, ("x"):rep(100)):sub(1, -20) }, "CUT", "UNAVAILABLE" },
  { "cuts an answer in chunks off", { send = faults.chunked('{"rows":[]}') }, "CUT", "UNAVAILABLE" },
  { "speaks no HTTP", { send = "SSH-2.0-OpenSSH_9.2\r\n" }, "GARBLED", "UNAVAILABLE" },
  { "lies about the encoding", answers(200, "{}", "Content-Encoding: gzip\r\n"), "GARBLED", "UNAVAILABLE" },
  { "is over the limit", answers(200, ("x"):rep(5000)), "LARGE", "TOO_LARGE" },
  { "is over the limit in chunks", { send = faults.chunked(("x"):rep(5000), true) }, "LARGE", "TOO_LARGE" },
  { "has no end of headers", answers(200, "", ("X: " .. ("y"):rep(1000) .. "\r\n"):rep(90)), "LARGE", "TOO_LARGE" },
  { "redirects with 301", answers(301, "", "Location: /elsewhere\r\n"), "REDIRECT", "UNAVAILABLE" },
  { "redirects with 307", answers(307, "", "Location: /elsewhere\r\n"), "REDIRECT", "UNAVAILABLE" },
  { "is a 408", answers(408), "FAILED", "UNAVAILABLE" },
  { "is a 500", html(500), "FAILED", "UNAVAILABLE" },
  { "is a 502", html(502), "FAILED", "UNAVAILABLE" },
  { "is a 504", html(504), "FAILED", "UNAVAILABLE" },
  -- These are refusals: nothing was done, and so a write is no unknown outcome.
  { "is a 401", answers(401), "CREDENTIALS", "AUTH", "AUTH" },
  { "is a 403", html(403), "CREDENTIALS", "AUTH", "AUTH" },
  { "is a 404", html(404), "REFUSED", "UNAVAILABLE", "UNAVAILABLE" },
  { "is a 413", html(413), "REQUEST_SIZE", "TOO_LARGE", "TOO_LARGE" },
  { "is a 429 with Retry-After", answers(429, "", "Retry-After: 7\r\n"), "RATE", "RATE_LIMITED", "RATE_LIMITED" },
  { "is a 429 without", answers(429), "OVERLOADED", "BUSY", "BUSY" },
}

local retried <const> = { LOST = true, CUT = true, GARBLED = true, FAILED = true, OVERLOADED = true }

describe("a request whose answer", function()
  before_each(faults.start)
  after_each(function()
    faults.stop()
    net.close()
  end)

  for _, case in ipairs(cases) do
    local what, step, cause, read_code, write_code = table.unpack(case)
    write_code = write_code or "OUTCOME_UNKNOWN"

    it(what .. ", if it reads", function()
      faults.play_at("/elsewhere", answers(200))
      local path = faults.play(step)
      local got = ask(path, { write = false, limit = 4096 })
      assert.equal(cause, got.cause, tostring(got.error))
      assert.equal(read_code, got.error.code)
      assert.equal(retried[cause] and 2 or 1, got.attempts)
      assert.equal(0, faults.count "/elsewhere")
    end)

    it(what .. ", if it writes", function()
      faults.play_at("/elsewhere", answers(200))
      local path = faults.play(step, answers(200))
      local got = ask(path, { limit = 4096 })
      assert.equal(cause, got.cause, tostring(got.error))
      assert.equal(write_code, got.error.code)
      assert.equal(1, got.attempts)
      assert(faults.count(path) <= 1, "it was sent again")
      assert.equal(0, faults.count "/elsewhere")
      if write_code == "OUTCOME_UNKNOWN" then
        assert.matches("may have been done or not", got.error.message)
        assert.is_false(got.error.retryable)
      end
      assert.equal(got.body and true or "unknown", got.sent, "sent")
    end)

    if retried[cause] then
      it(what .. " at first, if it reads", function()
        local path = faults.play(step, answers(200, '{"yes":1}'))
        local got = ask(path, { write = false, attempts = 3, deadline = 2 })
        assert.is_nil(got.error)
        assert.equal('{"yes":1}', got.body)
      end)
    end
  end
end)

describe("a request", function()
  before_each(faults.start)
  after_each(function()
    faults.stop()
    net.close()
  end)

  it("sends token, headers and body, and gives the answer back", function()
    local path = faults.play(answers(200, '{"a":"\0"}'))
    local got = ask(path, { headers = { ["X-Test"] = "yes" }, body = "a\0b" })
    assert.same({ true, 200, '{"a":"\0"}', "application/json" }, { got.sent, got.status, got.body, got.content_type })
    local seen = faults.seen(path)
    assert.matches("^POST " .. path .. " HTTP/1.1\r\n", seen)
    assert.matches("\r\nAuthorization: Bearer " .. TOKEN .. "\r\n", seen, 1, true)
    assert.matches("\r\nX%-Test: yes\r\n", seen)
    assert.matches("\r\n\r\na\0b$", seen)
  end)

  it("raises the error by net.request", function()
    local path = faults.play(html(500))
    local done, err = pcall(net.request, { url = faults.origin() .. path, attempts = 1 })
    assert.is_false(done)
    assert(errors.is_error(err, "UNAVAILABLE"))
    assert.equal(500, err.http_status)
    assert.matches("net_spec.lua", err.where)
  end)

  it("shares a connection when it reads, and has one of its own when it writes", function()
    local path = faults.play(answers(200))
    assert.is_false(ask(path, { write = false }).reused)
    assert.is_true(ask(path, { write = false }).reused)
    assert.is_false(ask(path, {}).reused)
    assert.is_true(ask(path, { write = false }).reused)
  end)

  it("that writes is not sent again by libcurl when the connection before it has died", function()
    local warm = faults.play(answers(200))
    local path = faults.play({ ending = "reset" }, answers(200))
    for _ = 1, 10 do
      ask(warm, { write = false })
      local before = faults.count(path)
      ask(path, {})
      assert.equal(before + 1, faults.count(path))
    end
  end)

  it("is tried again until somebody listens, also if it writes", function()
    local path = faults.play(answers(200))
    faults.listen(120)
    local got = ask(path, { port = "refuse", deadline = 3, attempts = 8 })
    assert.is_nil(got.error)
    assert(got.attempts > 1)
    assert.equal(1, faults.count(path))
  end)

  it("where nobody listens says that nothing was sent", function()
    local got = ask("/", { port = "refuse" })
    assert.same({ "CONNECT", "UNAVAILABLE", false, 2 }, { got.cause, got.error.code, got.sent, got.attempts })
  end)

  it("to a host without a name says that nothing was sent", function()
    local got = net.perform({ { url = "https://collegedb.invalid/", body = "", attempts = 1, deadline = 5 } })[1]
    assert.same({ "UNAVAILABLE", false }, { got.error.code, got.sent })
  end)

  it("waits as long as a 429 says, if it reads and its deadline lets it", function()
    local path = faults.play(answers(429, "", "Retry-After: 1\r\n"), answers(200))
    local began = core.now()
    local got = ask(path, { write = false, deadline = 3 })
    assert.is_nil(got.error)
    assert(core.now() - began >= 900)
    local late = ask(faults.play(answers(429, "", "Retry-After: 9\r\n")), { write = false })
    assert.equal(9, late.error.retry_after)
  end)

  it("counts the bytes of an answer after it was unpacked", function()
    local folder = process.new_folder()
    process.run { "sh", "-c", "head -c 3000000 /dev/zero | gzip -c >" .. folder .. "/bomb" }
    local bomb = process.read(folder .. "/bomb")
    process.remove(folder)
    assert(#bomb < 10000)
    local path = faults.play(answers(200, bomb, "Content-Encoding: gzip\r\n"))
    assert.equal("TOO_LARGE", ask(path, { write = false, limit = 1000000 }).error.code)
    assert.equal(3000000, #ask(path, { write = false, limit = 3000000 }).body)
  end)

  it("goes to this machine only, when it is not https", function()
    local refused = { "http://example.com/", "http://127.0.0.1.example.com/", "http://localhost.example.com/",
      "http://example.com#@127.0.0.1/", "http://1270.0.0.1/", "http://127.0.0.999/",
      "ftp://127.0.0.1/", "file:///etc/passwd", "https://",
      "https://user:password@127.0.0.1/", "nonsense", "http://0.0.0.0/" }
    for _, url in ipairs(refused) do
      local got = net.perform({ { url = url, deadline = 0.3, attempts = 1 } })[1]
      assert.equal("USAGE", got.error.code, url)
      assert.is_false(got.sent)
      assert.is_nil(got.error.message:find("password", 1, true))
    end
    local path = faults.play(answers(200))
    local port = faults.origin():match "%d+$"
    assert.is_nil(net.perform({ { url = "http://localhost:" .. port .. path } })[1].error)
  end)

  it("that is none is USAGE, and says of no value what it was", function()
    local url = "http://127.0.0.1:1/"
    for _, request in ipairs {
      {}, { url = 1 }, { url = url, tokn = "x" }, { url = url, token = "two words" .. TOKEN },
      { url = url, token = TOKEN .. "\r\nX: y" }, { url = url, headers = { A = TOKEN .. "\r\nB: c" } },
      { url = url, headers = { ["A: b\r\nC"] = "x" } }, { url = url, deadline = 0 }, { url = url, limit = 1.5 },
      { url = url, method = "get it" },
    } do
      local done, err = pcall(net.perform, { request })
      assert.is_false(done)
      assert(errors.is_error(err, "USAGE"), tostring(err))
      assert.is_nil(tostring(err):find(TOKEN, 1, true))
    end
  end)
end)

describe("several requests", function()
  before_each(faults.start)
  after_each(function()
    faults.stop()
    net.close()
  end)

  local function many(count, path, fields)
    local requests = {}
    for i = 1, count do
      requests[i] = { url = faults.origin() .. path, write = false, body = tostring(i), deadline = 5 }
      for name, value in pairs(fields or {}) do requests[i][name] = value end
    end
    return requests
  end

  it("overlap, as many as are asked for", function()
    local path = faults.play { send = answer(200), delay = 100, ending = "keep" }
    local began = core.now()
    for _, got in ipairs(net.perform(many(16, path))) do assert.is_nil(got.error) end
    local took = core.now() - began
    assert(took < 1200, took)
    began = core.now()
    net.perform(many(8, path), { parallel = 2 })
    took = core.now() - began
    assert(took >= 400, took)
    assert.equal(24, faults.count(path))
  end)

  it("come back in their order, and one that fails does not hold the others up", function()
    local good, bad = faults.play(answers(200, "good")), faults.play { ending = "stall" }
    local requests = many(3, good)
    requests[2].url, requests[2].deadline = faults.origin() .. bad, 0.3
    local got = net.perform(requests)
    assert.same({ "good", "TIMEOUT", "good" }, { got[1].body, got[2].error.code, got[3].body })
  end)

  it("of a child process leave the connections of its parent alone", function()
    if os.getenv "CDB_VALGRIND" then return pending "what a child leaves alone, valgrind counts as lost" end
    local path = faults.play(answers(200, "yes"))
    net.perform(many(1, path))
    local child = forks.start(function()
      for _ = 1, 3 do
        local got = net.perform(many(1, path))[1]
        if got.body ~= "yes" then return 3 end
      end
      net.close()
      return 0
    end)
    assert.equal(0, forks.wait(child))
    local got = net.perform(many(1, path))[1]
    assert.same({ true, "yes", 1 }, { got.reused, got.body, got.attempts })
    assert.equal(5, faults.count(path))
  end)

  it("overlap where functions make them", function()
    local path = faults.play { send = answer(200, "a"), delay = 150, ending = "keep" }
    local function ask_twice()
      net.request(many(1, path)[1])
      return net.request(many(1, path)[1]).body
    end
    local began = core.now()
    local results = net.together { ask_twice, ask_twice, function() return "none" end, ask_twice,
      function() error("mine", 0) end, function() return net.request { url = "http://example.com" } end }
    assert(core.now() - began < 750)
    assert.same({ { done = true, value = "a" }, { done = true, value = "a" }, { done = true, value = "none" },
      { done = true, value = "a" }, { done = false, value = "mine" } }, { table.unpack(results, 1, 5) })
    assert.equal("USAGE", results[6].value.code)
  end)

  it("may be none", function() assert.same({}, net.perform {}) end)

  it("may be many", function()
    local path = faults.play(answers(200))
    for _, got in ipairs(net.perform(many(300, path))) do assert.is_nil(got.error) end
    assert.equal(300, faults.count(path))
  end)
end)

describe("Ctrl-C", function()
  before_each(faults.start)
  after_each(function()
    faults.stop()
    net.close()
  end)

  for _, host in ipairs { process.collegedb, "lua5.4" } do
    it("ends a request at once under " .. host:match "[^/]+$", function()
      if host == "lua5.4" and (os.getenv "CDB_SANITIZE" or "") ~= "" then
        return pending "a sanitizer needs its own host"
      end
      local source = ([[
        local net = require "collegedb.net"
        local function wait() net.request { url = "%s/", deadline = 30 } end
        if arg[1] == "inside" then
          local thread = coroutine.create(wait)
          local done, err = coroutine.resume(thread)
          error(err, 0)
        end
        wait()
      ]]):format(faults.origin "deaf")
      local folder = process.new_folder()
      process.write(folder .. "/wait.lua", source)
      for _, where in ipairs { "outside", "inside" } do
        local began = core.now()
        local result = process.run({ "timeout", "-s", "INT", "0.8", host, folder .. "/wait.lua", where },
          { env = { LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH" } })
        assert.matches("interrupted!", result.stderr, 1, true)
        assert(core.now() - began < 15000)
      end
      process.remove(folder)
    end)
  end
end)

