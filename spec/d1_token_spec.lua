-- The token of a D1 database is seen by nobody but Cloudflare: not in errors, not by who prints or walks over values,
-- not in events, reports, the output of commands, files, or the command line of the process.

local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"
local process = require "spec.support.process"

local TOKEN <const> = ("t0ken-%x.Qq_secret"):format(core.random()) -- this run's own: others may run beside it

local function said(message)
  return ('{"success":false,"errors":[{"code":7500,"message":"%s"}],"messages":[],"result":null}'):format(message)
end

-- The token again and again, wherever a message may be cut off.
local function long_text(offset) return ("x"):rep(offset) .. (TOKEN .. " "):rep(60) end

-- What goes wrong, on a database each. Some services repeat what they were sent.
local failures <const> = {
  closes = {}, stalls = { ending = "stall" }, page = faults.html(502), html = faults.html(200),
  reset = { send = "HTTP/1.1 200 OK\r\n", ending = "reset" },
  refused = faults.answers(401, said("Authentication error: Bearer " .. TOKEN)),
  forbidden = faults.answers(403, said("no access for " .. TOKEN)),
  statement = faults.answers(400, said("near " .. TOKEN .. ": syntax error at offset 0: SQLITE_ERROR")),
  twice = faults.answers(500, said(TOKEN .. TOKEN .. " UNIQUE: SQLITE_CONSTRAINT " .. TOKEN)),
  -- Messages are cut off where they are too long, and so is a token at their end.
  long = faults.answers(400, said(long_text(0) .. ": SQLITE_ERROR")),
  longer = faults.answers(500, said(long_text(7))), longest = faults.answers(401, said(long_text(13))),
  echo = faults.answers(500, "Authorization: Bearer " .. TOKEN),
  echo_json = faults.answers(200, '{"token":"' .. TOKEN .. '"}'),
  limited = faults.answers(429, said(TOKEN), "Retry-After: 60\r\n"),
  elsewhere = faults.answers(307, TOKEN, "Location: /" .. TOKEN .. "\r\n"),
  good = faults.answers(200, '{"success":true,"errors":[],"messages":[],"result":[{"success":true,"meta":{},'
    .. '"results":{"columns":["v"],"rows":[["' .. TOKEN:reverse() .. '"]]}}]}'),
}

-- The rate limit of an account is kept to by all programs of this machine: each database has an account of its own.
local function account(name) return ("%s-%x"):format(name, core.random()) end

-- Prints all that can be reached from a value by pairs, metatables and tostring; and what debug tells of its userdata.
local WALK <const> = [[
  local seen = {}
  local function walk(value, depth)
    print(tostring(value), math.type(value) or type(value))
    if (type(value) ~= "table" and type(value) ~= "userdata") or seen[value] or depth > 12 then return end
    seen[value] = true
    if type(value) == "table" then
      for key, each in next, value do
        walk(key, depth + 1)
        walk(each, depth + 1)
      end
    else
      for i = 1, 8 do walk(debug.getuservalue(value, i), depth + 1) end
    end
    walk(debug.getmetatable(value), depth + 1)
  end
]]

describe("the token of a D1 database", function()
  local accounts, list

  before_each(function()
    fixture.start()
    faults.start()
    accounts, list = {}, {}
    for name, step in pairs(failures) do
      list[#list + 1], accounts[name] = name, account(name)
      faults.play_at(("/accounts/%s/d1/database/%s/raw"):format(accounts[name], name), step)
    end
    table.sort(list)
  end)
  after_each(function()
    faults.stop()
    for _, each in pairs(accounts) do
      local file = net.budget("cloudflare " .. each):file()
      if file then os.remove(file) end
    end
    fixture.stop()
  end)

  -- Neither the token nor its beginning, nor its end.
  local function check(text, what)
    assert.is_string(text)
    local at = text:find(TOKEN:sub(1, 10), 1, true) or text:find(TOKEN:sub(-10), 1, true)
    assert(not at, what .. " shows the token: " .. text:sub((at or 1) - 200, (at or 1) + 60))
  end

  it("is in no error, value, event or report", function()
    local words = {}
    for i, name in ipairs(list) do words[i] = accounts[name] .. "/" .. name end
    local pipe = fixture.spawn(WALK .. ([[
      local endpoint, token = %q, %q
      local function try(f, ...)
        local results = table.pack(pcall(f, ...))
        for i = 2, results.n do walk(results[i], 0) end
      end
      for _, word in ipairs(arg) do
        local account, name = word:match "^(.*)/(.*)$"
        local given = { account = account, database = name, token = token, endpoint = endpoint, deadline = 0.3 }
        local value = collegedb.d1(given)
        walk(value, 0)
        for _, method in ipairs { "run", "first", "all", "each", "exec", "size" } do
          try(function() return value[method](value, "SELECT v FROM t WHERE v = ?", { 1 }) end)
          try(function() return value[method](value, "UPDATE t SET v = 'token'") end)
        end
        local config = { kv = folder .. "/" .. name .. ".db", auto_migrate = false,
          shards = { { name = "a", folder .. "/a.db" }, { name = "d", value } },
          on_event = function(event) walk(event, 0) end }
        walk(config, 0)
        local opened, db = pcall(collegedb.open, config)
        walk(db, 0)
        for _, call in ipairs(opened and { "run_all_shards", "count", "verify", "health", "metrics", "integrate",
            "get_shard_stats", "locate", "first", "insert", "ensure_schema", "list_known_shards" } or {}) do
          try(function() return db[call](db, "t", "SELECT v FROM t") end)
        end
        if opened then try(db.close, db) end
      end
      for _, bad in ipairs { { token = token .. " x" }, { token = { token } }, { tokn = token },
          { database = token .. "!" } } do
        local given = { account = "acc", database = "good", token = token, endpoint = endpoint }
        for field, each in pairs(bad) do given[field] = each end
        local done, err = pcall(collegedb.d1, given)
        if not done then print(err, err.message, err.field) end
      end
      print(io.open "/proc/self/cmdline":read "a")
      print "the end"
    ]]):format(faults.origin(), TOKEN), table.unpack(words))
    local output = pipe:read "a"
    assert(pipe:close(), output)
    assert.matches("the end", output)
    assert.matches(TOKEN:reverse(), output, 1, true) -- the answer of the good one was read
    check(output, "the output")
    assert.matches("Bearer " .. TOKEN, faults.seen("/accounts/" .. accounts.good .. "/d1/database/good/raw"), 1, true)
  end)

  it("is in no output of commands, and in no file", function()
    local shm = process.run { "sh", "-c", "ls /dev/shm /tmp" }.stdout
    for _, name in ipairs { "statement", "refused", "twice", "echo", "long", "longest", "elsewhere", "good" } do
      fixture.write("collegedb.lua", ([[local collegedb = require "collegedb"
        local far = collegedb.d1 { account = %q, database = %q, token = os.getenv "THE_TOKEN", endpoint = %q,
          deadline = 0.3 }
        return { kv = "directory.db", auto_migrate = false,
          shards = { { name = "a", "a.db" }, { name = "d", far } } }]]):format(
        accounts[name], name, faults.origin()))
      for _, words in ipairs { { "status" }, { "doctor" }, { "validate" }, { "query", "--all", "SELECT 1" },
        { "integrate" }, { "verify", "--repair" }, { "query", "k", "SELECT :x", "x=1" } } do
        for _, json in ipairs { true, false } do
          local line = { process.collegedb, table.unpack(words) }
          if json then table.insert(line, 3, "--json") end
          local result = process.run(line, { folder = fixture.path "", env = { THE_TOKEN = TOKEN } })
          check(result.stdout .. result.stderr, table.concat(line, " "))
          assert(result.status < 124, result.stderr)
        end
      end
    end
    local found = process.run { "grep", "-rlaF", TOKEN, fixture.path "" }
    assert.equal("", found.stdout)
    for name in process.run({ "sh", "-c", "ls /dev/shm /tmp" }).stdout:gmatch "[^\n]+" do
      if not shm:find("\n" .. name .. "\n", 1, true) then
        local command = ("grep -rlaF %s /tmp/%s /dev/shm/%s"):format(TOKEN, name, name)
        assert.equal("", process.run({ "sh", "-c", command }).stdout)
      end
    end
  end)

  it("is not shown where values are shown: at the prompt, and by -e", function()
    local source = ('v = collegedb.d1 { account = %q, database = "good", token = os.getenv "THE_TOKEN", '
      .. 'endpoint = %q }'):format(accounts.good, faults.origin())
    for _, input in ipairs { "return v", "v", "{ v }", "v:first('SELECT v')", "error(v)", "v.token",
      "for k, x in pairs(v) do print(k, x) end", "collegedb.open { kv = v, shards = { v } }" } do
      local result = process.run({ process.collegedb, "-i" },
        { input = source .. "\n" .. input .. "\n", env = { THE_TOKEN = TOKEN } })
      check(result.stdout .. result.stderr, input)
      assert.equal(0, result.status)
    end
  end)
end)
