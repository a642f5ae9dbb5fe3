-- The commands status and doctor as a user runs them: at a terminal, in a pipe, and until Ctrl-C.

local process = require "spec.support.process"

describe("the command", function()
  local folder

  before_each(function()
    folder = process.new_folder()
    process.write(folder .. "/collegedb.lua",
      'return { kv = "directory.db", shards = { { name = "east", "east.db" }, { name = "west", "west.db" } } }')
    process.write(folder .. "/make.lua", [[
      local db <close> = require("collegedb").open(dofile "collegedb.lua")
      db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
      for i = 1, 10 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end]])
    assert.equal(0, process.run({ process.collegedb, "./make.lua" }, { folder = folder }).status)
  end)
  after_each(function() process.remove(folder) end)

  local function run(env, ...)
    return process.run({ process.collegedb, ... }, { folder = folder, env = env })
  end

  -- What a terminal gets of a shell's command.
  local function at_terminal(command, env)
    return process.run({ "script", "-qec", command, "/dev/null" }, { folder = folder, env = env }).stdout
  end

  local quoted = process.quote(process.collegedb)

  describe("status", function()
    it("ends with 3 when a shard is not reached, and shows the others", function()
      os.remove(folder .. "/west.db")
      local result = run({ LC_ALL = "C" }, "status")
      assert.same({ 3, "" }, { result.status, result.stderr })
      assert.matches("\neast +%d+ .* yes +open ", result.stdout)
      assert.matches("\nwest +%? .* unreachable", result.stdout)
      assert.matches("\nwest: there is no file west.db\n", result.stdout)
      assert.matches('"error":{"code":"UNAVAILABLE","message":"there is no file west.db"}',
        run({}, "status", "--json").stdout, 1, true)
    end)

    it("draws in place at a terminal until Ctrl-C, and leaves it as it was", function()
      local text = at_terminal(("timeout --foreground --preserve-status -s INT 2 %s status --watch 0.3; echo rc=$?")
        :format(quoted), { LC_ALL = "C", TERM = "xterm" })
      local _, first = text:find("\27[?1049h\27[?25l\27[?7l", 1, true)
      local last = text:find("\27[?7h\27[?25h\27[?1049l", 1, true)
      assert.is_true(first ~= nil and last ~= nil and first < last, text)
      local drawn = text:sub(first + 1, last - 1)
      local _, times = drawn:gsub("\27%[H[^\n]*collegedb status, %d%d:%d%d:%d%d, every 0.3 s", "")
      assert.is_true(times >= 2, text)
      assert.matches("keys +share", drawn)
      assert.matches("\27%[J$", drawn)
      assert.matches("^%s*rc=0%s*$", text:sub(last + #"\27[?7h\27[?25h\27[?1049l"))
    end)

    it("shows colours only where they are wanted", function()
      local command = quoted .. " status"
      assert.matches("\27%[32mopen", at_terminal(command, { TERM = "xterm", NO_COLOR = "" }))
      assert.not_matches("\27", at_terminal(command, { TERM = "xterm", NO_COLOR = "1" }))
      assert.not_matches("\27", at_terminal(command, { TERM = "dumb", NO_COLOR = "" }))
      assert.not_matches("\27", run({ TERM = "xterm" }, "status").stdout)
    end)

    it("prints one after another elsewhere, as lines of JSON if asked for", function()
      local words = { "timeout", "--preserve-status", "-s", "INT", "1.5", process.collegedb, "status", "--watch", "0.2",
        "--json" }
      local result = process.run(words, { folder = folder })
      assert.same({ 0, "" }, { result.status, result.stderr })
      local lines = 0
      for line in result.stdout:gmatch "[^\n]+" do
        lines = lines + 1
        assert.matches('^{"at":.*"keys":10,.*}$', line)
      end
      assert.is_true(lines >= 2)
      words[#words] = nil
      assert.matches("moves: none\n%-%-%- %d+%-%d+%-%d+ %d+:%d+:%d+ %-%-%-\nshard ",
        process.run(words, { folder = folder, env = { LC_ALL = "C" } }).stdout)
    end)

    it("refuses an interval that is none", function()
      for _, wrong in ipairs { "often", "0", "-1" } do
        local result = run({}, "status", "--watch=" .. wrong)
        assert.equal(2, result.status)
        assert.matches("%-%-watch takes seconds", result.stderr)
      end
    end)
  end)

  describe("doctor", function()
    it("takes a config that fails for a finding", function()
      process.write(folder .. "/collegedb.lua", "return { kv = ")
      local result = run({}, "doctor")
      assert.same({ 3, "" }, { result.status, result.stderr })
      assert.matches("^fault config: .*collegedb.lua:1:.*\n +to mend: correct the config", result.stdout)
      assert.matches('"success":false', run({}, "doctor", "--json").stdout)
    end)

    it("finds a config with a token in it that others may read, and does not show it", function()
      process.write(folder .. "/collegedb.lua", [[
        local far = require("collegedb").gateway { url = "http://127.0.0.1:1", token = "very-secret" }
        return { kv = "directory.db", shards = { { name = "east", "east.db" }, { name = "west", "west.db" } } }]])
      os.execute("chmod 644 " .. folder .. "/collegedb.lua")
      local result = run({}, "doctor")
      assert.equal(3, result.status)
      assert.matches("fault config: ./collegedb.lua has a token in it, and every user of this machine may read it\n"
        .. " +to mend: chmod 600 ./collegedb.lua", result.stdout)
      assert.not_matches("very%-secret", result.stdout .. result.stderr)
      os.execute("chmod 600 " .. folder .. "/collegedb.lua")
      assert.equal(0, run({}, "doctor").status)
    end)
  end)
end)
