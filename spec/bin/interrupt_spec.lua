-- Ctrl-C and SIGTERM: a command that is interrupted, wherever it is, prints the line that goes on, and that line ends
-- the work. The signals are real ones, which the command gets after so many instructions of Lua.

local process = require "spec.support.process"
local shop = require "spec.support.shop"

-- Run by LUA_INIT, before the command: sends the signals to this process after so many hundred instructions.
-- (os.execute would ignore them.)
local SIGNALLER <const> = [[
  local count = 0
  debug.sethook(function()
    count = count + 1
    if count < %d then return end
    debug.sethook()
    local pid = io.open("/proc/self/stat"):read "n"
    io.popen((("%s"):gsub("PID", pid))):close()
    for _ = 1, 100 do end
  end, "", 100)]]

describe("an interrupted command", function()
  local folder
  before_each(function()
    folder = process.new_folder()
    shop.make(folder, 40, " auto_migrate = false")
  end)
  after_each(function() process.remove(folder) end)

  local function collegedb(words, env)
    return process.run({ process.collegedb, table.unpack(words) }, { folder = folder, env = env })
  end

  local function exits(status, ...)
    local result = collegedb { ... }
    assert.same({ status, "" }, { result.status, result.stderr }, result.stdout)
    return result.stdout
  end

  local function count(name, table_name)
    local sql = "SELECT count(*) FROM " .. (table_name or "customers")
    return tonumber(process.run({ "sqlite3", name .. ".db", sql }, { folder = folder }).stdout)
  end

  local function interrupted(after, words, signal)
    return collegedb(words, { LUA_INIT = SIGNALLER:format(after, signal or "kill -INT PID") })
  end

  -- Types the line that was printed.
  local function type_line(line)
    return process.run({ "sh", "-c", process.quote(process.collegedb) .. assert(line:match "^collegedb( .*)") },
      { folder = folder })
  end

  local function is_whole()
    assert.equal(80, count "east" + count "west" + (process.read(folder .. "/north.db") and count "north" or 0))
    exits(0, "verify")
  end

  local cases = {
    { words = { "integrate" }, line = "^collegedb integrate .*%-%-resume$", check = function()
      assert.equal(2, count("directory", "_collegedb_shards WHERE integrated = 1"))
    end },
    { words = { "rollback", "east", "west" }, step = 110, before = { { "integrate" } }, check = function()
      assert.equal(0, count("directory", "_collegedb_entries"))
      exits(0, "integrate")
    end },
    { words = { "rebalance", "--policy", "even", "--rate", "100000" },
      before = { { "integrate" }, { "add", "north", "north.db" } },
      step = 800,
      line = "^collegedb rebalance %-%-policy even %-%-rate 100000$",
      check = function() assert.is_true(count "north" > 20) end },
    { words = { "drain", "west" }, step = 290, before = { { "integrate" } }, check = function()
      assert.equal(0, count "west")
      assert.equal(80, count("east", "orders"))
    end },
    { words = { "move", "ada@example.com", "west" }, before = { { "integrate" } }, check = function()
      assert.equal(1, count("west", "orders WHERE id = 17"))
      assert.equal(0, count("east", "orders WHERE id = 17"))
    end },
    { words = { "verify", "--repair" }, step = 200, before = { { "integrate" } },
      line = "^collegedb verify %-%-repair$" },
    { words = { "doctor", "--repair" }, step = 250, check = function()
      assert.equal(2, count("directory", "_collegedb_shards WHERE integrated = 1"))
    end },
    { words = { "report", "-o", "a report.html" }, before = { { "integrate" } }, step = 1000,
      line = "^collegedb report %-o 'a report.html'$", check = function()
        assert.matches("</html>\n$", process.read(folder .. "/a report.html"))
      end },
    { words = { "validate", "--json" }, after = { { "integrate" } } },
  }

  for _, case in ipairs(cases) do
    local name = table.concat(case.words, " ")
    it("goes on where it was: " .. name, function()
      local times, after = 0, 120
      repeat
        process.remove(folder)
        folder = process.new_folder()
        shop.make(folder, 40, " auto_migrate = false")
        for _, words in ipairs(case.before or {}) do exits(0, table.unpack(words)) end
        local result = interrupted(after, case.words)
        local line = result.stderr:match "^interrupted; to go on: (collegedb [^\n]*)\n$"
        if result.status == 130 then
          assert(line, result.stderr)
          times = times + 1
          assert.matches(case.line or "^collegedb " .. case.words[1], line)
          local again = type_line(line)
          assert.same({ 0, "" }, { again.status, again.stderr }, ("%s after %d"):format(name, after))
        else
          assert.same({ 0, "" }, { result.status, result.stderr })
        end
        if case.check then case.check() end
        for _, words in ipairs(case.after or {}) do exits(0, table.unpack(words)) end
        is_whole()
        after = after + (case.step or 150)
      until result.status == 0
      assert.is_true(times >= 2, "it was interrupted " .. times .. " times only")
    end)
  end

  it("by SIGTERM does the same", function()
    local result = interrupted(300, { "integrate", "east", "west" }, "kill -TERM PID; sleep 0.05; kill -TERM PID")
    assert.equal(130, result.status)
    assert.matches("^interrupted; to go on: collegedb integrate [^\n]*west %-%-resume\n$", result.stderr)
    assert.equal(0, type_line(result.stderr:match "collegedb .*").status)
  end)

  it("tells a program so in JSON", function()
    local result = interrupted(300, { "integrate", "--json" })
    assert.equal(130, result.status)
    assert.matches('^{"error":{"code":"INTERRUPTED","message":"interrupted","resume":"collegedb integrate '
      .. '[^"]*%-%-resume %-%-json","retryable":false}}\n$', result.stdout)
  end)

  it("has nothing to say of how to go on where there is no such thing", function()
    local result = interrupted(100, { "query", "--all", "DELETE FROM orders" })
    assert.same({ 130, "collegedb query: interrupted\n" }, { result.status, result.stderr })
  end)

  it("that gets a second one ends at once, and the same line still goes on", function()
    exits(0, "integrate")
    local result = interrupted(330, { "drain", "west" }, "kill -INT PID; sleep 0.05; kill -INT PID")
    assert.equal(130, result.status)
    assert.equal("", result.stderr)
    exits(0, "drain", "west")
    assert.equal(0, count "west")
    is_whole()
  end)
end)
