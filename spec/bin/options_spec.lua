-- The options of the program `collegedb`: those of lua5.4 do what they do there.

local process = require "spec.support.process"

-- Nothing of the source tree is to be found by chance.
local bare = { LUA_PATH = false, LUA_CPATH = false }

describe("the options", function()
  local folder

  before_each(function()
    folder = process.new_folder()
    process.write(folder .. "/script.lua", [[
      io.write("script ", #arg, " ", select("#", ...), " ", tostring(x), "\n")
      local indices = {}
      for i in pairs(arg) do indices[#indices + 1] = i end
      table.sort(indices)
      for _, i in ipairs(indices) do io.write(i, "=", (arg[i]:gsub("^.*/collegedb$", "lua5.4")), "\n") end
    ]])
    process.write(folder .. "/mod.lua", "return { name = 'mod', args = { ... } }")
    process.write(folder .. "/fails.lua", "error 'no module'")
  end)
  after_each(function() process.remove(folder) end)

  local function run(program, words, opts)
    opts = opts or {}
    return process.run({ program, table.unpack(words) },
      { folder = folder, env = opts.env or bare, input = opts.input })
  end

  local function collegedb(words, opts) return run(process.collegedb, words, opts) end

  ---Without the line that says the version, which is another there, and without the program's name.
  local function common(text)
    text = text:gsub("Lua 5%.4%.%d+  Copyright[^\n]*\n", "VERSION\n"):gsub("collegedb [%d.]+ %b()\n", "VERSION\n")
    return (text:gsub("lua5.4:", "collegedb:"):gsub("in main chunk\n%s*%[C%]: in %?", "in main chunk"))
  end

  ---Both programs do the same.
  local function same(words, opts)
    local ours, theirs = collegedb(words, opts), run("lua5.4", words, opts)
    assert.equal(common(theirs.stdout), common(ours.stdout))
    assert.equal(common(theirs.stderr), common(ours.stderr))
    assert.equal(theirs.status, ours.status)
    return ours
  end

  it("-e", function()
    assert.equal("1\n", same({ "-e", "print(1)" }).stdout)
    same { "-eprint(1)" }
    same { "-e", "x = 2", "-e", "print(x)" }
    same { "-e", "x = 2", "script.lua", "one", "-e", "two" }
    same { "-e", "for i in pairs(arg) do x = (x or 0) + i end print(x)", "--" }
    assert.equal(1, same({ "-e", "error 'boom'", "script.lua" }).status)
    assert.equal(1, same({ "-e", "x = = 1" }).status)
    assert.equal(5, same({ "-e", "os.exit(5)" }).status)
    same({ "-e", "print(io.read 'a')" }, { input = "the input is not a script" })
    same { "-e", "arg[1] = 'changed' arg[2] = 'more'", "script.lua", "one" }
    same { "-e", "arg = nil", "script.lua" }
  end)

  it("-l", function()
    assert.equal("mod\n", same({ "-l", "mod", "-e", "print(mod.name)" }).stdout)
    assert.equal("mod\n", same({ "-lmod", "-e", "print(mod.name)" }).stdout)
    assert.equal("mod\tnil\n", same({ "-l", "g=mod", "-e", "print(g.name, mod)" }).stdout)
    same { "-lg=mod", "-e", "print(g.args[1])", "script.lua" }
    same { "-l", "string", "script.lua", "one" }
    assert.equal(1, same({ "-l", "fails", "-e", "print 'not reached'" }).status)
    assert.equal(1, collegedb({ "-l", "nowhere" }).status)
    assert.equal("function\n", collegedb({ "-l", "collegedb", "-e", "print(type(collegedb.open))" }).stdout)
    assert.equal("function\n", collegedb({ "-l", "c=collegedb", "-e", "print(type(c.open))" }).stdout)
  end)

  it("-v, which is no script", function()
    assert.equal("VERSION\n", common(same({ "-v" }, { input = "print 'not run'" }).stdout))
    same { "-v", "script.lua" }
    same { "-v", "-e", "print(1)" }
    same({ "-v", "-" }, { input = "print 'run'" })
  end)

  it("-E", function()
    local env = { LUA_INIT = "x = 'set'", LUA_PATH = "/a/?.lua", LUA_CPATH = "/a/?.so" }
    same({ "script.lua" }, { env = env })
    same({ "-E", "script.lua" }, { env = env })
    same({ "-E", "-e", "print(package.path, package.cpath)" }, { env = env })
    same({ "-e", "print(package.path, package.cpath)" }, { env = env })
    assert.equal("function\n",
      collegedb({ "-E", "-e", "print(type(require 'collegedb'.open))" }, { env = env }).stdout)
  end)

  it("-W", function()
    assert.matches("careful", same({ "-W", "-e", "warn 'careful'" }).stderr)
    assert.equal("", same({ "-e", "warn 'careful'" }).stderr)
    same { "-e", "warn 'before'", "-W", "-e", "warn 'after'" }
  end)

  it("-- and -", function()
    local text = "print('stdin', #arg, arg[0]:gsub('^.*/', ''):gsub('^collegedb$', 'lua5.4'), ...)"
    same({ "-" }, { input = text })
    same({ "-", "one", "-e" }, { input = text })
    same({ "-e", "print(1)", "-", "one" }, { input = text })
    same { "--", "script.lua", "one" }
    same { "-e", "x = 3", "--", "script.lua", "--" }
    same { "--", "-" }
    same({ "--" }, { input = text })
    process.write(folder .. "/status", "print 'a file, and no command'")
    assert.equal("a file, and no command\n", same({ "--", "status" }).stdout)
    same { "-", "one" }
  end)

  it("none: the script is standard input", function()
    same({}, { input = "print('stdin', #arg, arg[0] and 'program', ...)" })
    same({}, { input = "#!/bin/lua\nprint(io.read 'l')\n" })
    same {}
    same({}, { input = "error 'boom'" })
    same({}, { input = "x = = 1" })
    same({ "-W" }, { input = "warn 'careful'" })
    same({ "-E" }, { input = "print(...)" })
    same({}, { input = "print(db, collegedb)" })
  end)

  it("-i, also where there is no terminal", function()
    -- Its readline shows what it read; ours shows the prompts only.
    local input = "x = 1\nx + 1\nfor i = 1, 2 do\nprint(i)\nend\n= 'old', nil\nerror 'boom'\nx = = 1\n"
    local ours = collegedb({ "-i", "-e", "print 'first'", "script.lua" }, { input = input })
    assert.equal(0, ours.status)
    assert.matches("first\nscript 0 0 nil\n", ours.stdout)
    assert.matches("> > 2\n> >> >> 1\n2\n> old\tnil\n> > > \n$", ours.stdout)
    local theirs = run("lua5.4", { "-i" }, { input = input })
    assert.equal(common(theirs.stderr:gsub("\t%[C%]: in %?\n", "")), common(ours.stderr))
    assert.equal("VERSION\nA B >\n", common(collegedb({ "-i", "-e", "_PROMPT, _PROMPT2 = 'A ', 'B >'" },
      { input = "(" }).stdout:gsub("A B >A \n$", "A B >\n")))
    assert.equal(1, collegedb({ "-i", "-e", "error 'boom'" }, { input = "print 'not reached'" }).status)
  end)

  it("that are wrong end it before anything has run", function()
    for _, words in ipairs { { "-x" }, { "-vv" }, { "-ix" }, { "-W2" }, { "--frobnicate" } } do
      local result = collegedb { "-e", "print 'not run'", table.unpack(words) }
      assert.equal(2, result.status)
      assert.equal("", result.stdout)
      assert.matches("^collegedb: unknown option '" .. words[1]:gsub("%-", "%%-") .. "'\nusage:", result.stderr)
    end
    for _, words in ipairs { { "-e" }, { "-l" }, { "--config" }, { "-e", "-v" }, { "-l", "-" } } do
      local result = collegedb(words)
      assert.equal(2, result.status)
      assert.matches("^collegedb: '" .. words[1]:gsub("%-", "%%-") .. "' needs argument\nusage:", result.stderr)
    end
    assert.matches("^usage:", collegedb({ "--help" }).stdout)
    assert.equal(0, collegedb({ "--help" }).status)
  end)

  describe("--config", function()
    before_each(function()
      process.write(folder .. "/my.lua", "return { kv = 'memory:', shards = { { name = 'a', ':memory:' } } }")
    end)

    it("opens the database", function()
      for _, words in ipairs { { "--config", "my.lua" }, { "--config=my.lua" } } do
        local result = collegedb { words[1], words[2], "-e", "db:ensure_schema 'CREATE TABLE t (id TEXT PRIMARY KEY)' \z
          print(#db:all('k', 'SELECT * FROM t'), type(collegedb.open))" }
        if not words[2] then
          result = collegedb { words[1], "-e", "print(#db:all('k', 'SELECT 1'), type(collegedb.open))" }
          assert.equal("1\tfunction\n", result.stdout)
        else
          assert.equal("0\tfunction\n", result.stdout)
        end
        assert.equal("", result.stderr)
      end
    end)

    it("is one message where it cannot", function()
      local result = collegedb { "--config", "nowhere.lua", "-e", "print 'not reached'" }
      assert.equal(1, result.status)
      assert.equal("", result.stdout)
      assert.matches("^collegedb: [^\n]*CONFIG: there is no config file nowhere.lua[^\n]*\n$", result.stderr)
    end)

    it("is handed to a command", function()
      local result = collegedb { "--config", "my.lua", "query", "key", "SELECT 42 AS answer" }
      assert.equal("", result.stderr)
      assert.equal("answer\n    42\n", result.stdout)
    end)
  end)

  it("stand before a command too", function()
    assert.equal("set\n", collegedb({ "-e", "print 'set'", "help", "init" }).stdout:match "^set\n")
    assert.equal(2, collegedb({ "-W", "nosuch" }).status)
  end)
end)
