-- The program `collegedb` as a Lua interpreter: it runs scripts as lua5.4 does, and carries its own modules.

local process = require "spec.support.process"

-- Nothing of the source tree is to be found by chance.
local bare = { LUA_PATH = false, LUA_CPATH = false }

describe("the interpreter", function()
  local folder

  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local function script(text, name)
    name = name or "script.lua"
    process.write(folder .. "/" .. name, text)
    return name
  end

  local function run(program, words, opts)
    opts = opts or {}
    local env = opts.env or bare
    return process.run({ program, table.unpack(words) },
      { folder = folder, env = env, timeout = opts.timeout, input = opts.input })
  end

  local function collegedb(words, opts) return run(process.collegedb, words, opts) end

  ---Both programs do the same; messages begin with the program's name.
  local function same(words, opts)
    local ours, theirs = collegedb(words, opts), run("lua5.4", words, opts)
    local message = theirs.stderr:gsub("^lua5.4:", "collegedb:")
    message = message:gsub("in main chunk\n%s*%[C%]: in %?$", "in main chunk")
    assert.equal(theirs.stdout, ours.stdout)
    assert.equal(message, ours.stderr)
    assert.equal(theirs.status, ours.status)
    return ours
  end

  describe("does what lua5.4 does", function()
    it("with arguments", function()
      script [[
        print(#arg, arg[0], arg[1], arg[2], arg[3], arg[-2], ...)
        print(select("#", ...))
        arg[-1] = nil
        for i, word in pairs(arg) do io.write(i, "=", word, " ") end
      ]]
      same { "script.lua", "one", "", "a b'c\n" }
      same { "script.lua" }
      same { "./script.lua", "-e", "--" }
      script "local seen = arg[-1] print((seen:match '[^/]+$'))"
      assert.equal("collegedb\n", collegedb({ "script.lua" }).stdout)
    end)

    it("with exit statuses", function()
      script "os.exit(7)"
      assert.equal(7, same({ "script.lua" }).status)
      script "os.exit(true)"
      assert.equal(0, same({ "script.lua" }).status)
      script "os.exit(false, true)"
      assert.equal(1, same({ "script.lua" }).status)
      script "return 5"
      assert.equal(0, same({ "script.lua" }).status)
      script "coroutine.wrap(function() os.exit(9, true) end)()"
      assert.equal(9, same({ "script.lua" }).status)
    end)

    it("with errors", function()
      script "local function f() error 'boom' end\nf()\nreturn 1"
      local result = same { "script.lua" }
      assert.equal(1, result.status)
      assert.matches("^collegedb: script.lua:1: boom\nstack traceback:\n", result.stderr)
      for _, raised in ipairs {
        "setmetatable({}, { __tostring = function() return 'an object' end })", "{}", "nil", "42", "true",
        "setmetatable({}, { __tostring = function() return 1 end })", "setmetatable({}, { __name = 'mine' })",
      } do
        script("error(" .. raised .. ")")
        assert.equal(1, same({ "script.lua" }).status)
      end
      script "x = = 1"
      assert.matches("^collegedb: script.lua:1: unexpected symbol", same({ "script.lua" }).stderr)
      script "local t <close> = setmetatable({}, { __close = function() io.write 'closed ' end })\nerror 'late'"
      same { "script.lua" }
      script "setmetatable({}, { __gc = function() print 'collected' end })"
      assert.equal("collected\n", same({ "script.lua" }).stdout)
    end)

    it("with a missing script", function()
      assert.equal(1, same({ "nowhere.lua" }).status)
      assert.equal(1, same({ "./nowhere" }).status)
      assert.equal(1, same({ "." .. "/" }).status)
    end)

    it("with a first line for the shell", function()
      script "#!/usr/bin/env collegedb\nprint(debug.getinfo(1, 'l').currentline)"
      assert.equal("2\n", same({ "script.lua" }).stdout)
      script("\xEF\xBB\xBF# a mark and a comment\nprint 'ran'")
      assert.equal("ran\n", same({ "script.lua" }).stdout)
    end)

    it("with compiled scripts", function()
      process.write(folder .. "/script.lua", string.dump(load "print 'compiled'"))
      assert.equal("compiled\n", same({ "script.lua" }).stdout)
    end)

    it("with standard input", function()
      script "for line in io.lines() do print('<' .. line .. '>') end"
      same({ "script.lua" }, { input = "a\nb" })
    end)

    it("with LUA_INIT and LUA_PATH", function()
      script "print(x)"
      process.write(folder .. "/start.lua", "x = (x or '') .. 'file'")
      assert.equal("text\n", same({ "script.lua" }, { env = { LUA_INIT = "x = 'text'" } }).stdout)
      assert.equal("file\n", same({ "script.lua" }, { env = { LUA_INIT = "@start.lua" } }).stdout)
      assert.equal("new\n",
        same({ "script.lua" }, { env = { LUA_INIT = "x = 'old'", LUA_INIT_5_4 = "x = 'new'" } }).stdout)
      assert.equal(1, same({ "script.lua" }, { env = { LUA_INIT = "error 'early'" } }).status)
      assert.equal(1, same({ "script.lua" }, { env = { LUA_INIT = "@nowhere.lua" } }).status)
      script "print(package.path) print(package.cpath)"
      same({ "script.lua" }, { env = { LUA_PATH = "/a/?.lua;;", LUA_CPATH = "/b/?.so" } })
      same({ "script.lua" }, { env = { LUA_PATH_5_4 = "/a/?.lua", LUA_PATH = "/c/?.lua", LUA_CPATH = false } })
      same { "script.lua" }
    end)

    it("with the collector and the warnings as they are there", function()
      script "print(collectgarbage 'incremental') warn '@on' warn 'careful'"
      same { "script.lua" }
    end)

    it("with modules beside the working folder, not beside the script", function()
      os.execute("mkdir " .. process.quote(folder .. "/deep"))
      process.write(folder .. "/helper.lua", "return 'here'")
      process.write(folder .. "/deep/other.lua", "return 'deep'")
      process.write(folder .. "/deep/script.lua", "print(require 'helper', (pcall(require, 'other')))")
      assert.matches("^here\t.*false\n$", same({ "deep/script.lua" }).stdout)
    end)
  end)

  it("raises an error in the script at SIGINT", function()
    -- Not with os.execute, in which the caller ignores the signal.
    local interrupt = "io.popen('sleep 0.2; kill -INT ' .. io.open('/proc/self/stat'):read('n'))\n"
    script(interrupt .. "while true do end")
    for _, program in ipairs { "lua5.4", process.collegedb } do
      local result = run(program, { "script.lua" }, { timeout = 10 })
      assert.equal(1, result.status)
      assert.matches("interrupted!\nstack traceback:", result.stderr)
    end
    script("print(pcall(function()\n" .. interrupt .. "while true do end end)) print 'goes on'")
    local caught = collegedb({ "script.lua" }, { timeout = 10 })
    assert.matches("^false\tinterrupted!\ngoes on\n$", caught.stdout)
    assert.equal(0, caught.status)
  end)

  it("is ended by a second SIGINT where the first is not heard", function()
    script [[
      local pid = io.open('/proc/self/stat'):read('n')
      io.popen(('sleep 0.2; kill -INT %d; sleep 0.2; kill -INT %d'):format(pid, pid))
      io.read 'l' -- no Lua code runs here, and so no hook
    ]]
    local held = { "sh", "-c", "sleep 1.5 | " .. process.quote(process.collegedb) .. " script.lua; echo $?" }
    assert.equal("130\n", process.run(held, { folder = folder, env = bare }).stdout)
  end)

  it("loads modules in C that take Lua's functions from it", function()
    script "print(require('cjson').encode({ 'a' }))"
    assert.equal('["a"]\n', collegedb({ "script.lua" }).stdout)
  end)

  describe("carries its modules", function()
    local nowhere = { LUA_PATH = "./?.lua", LUA_CPATH = "./?.so" }

    it("and uses them where there is no file", function()
      script [[
        local collegedb = require "collegedb"
        print(type(collegedb.open), select(2, require "argparse"), select(2, require "collegedb.text_table"))
        print(package.searchpath("collegedb.core", package.cpath))
      ]]
      local result = collegedb({ "script.lua" }, { env = nowhere })
      assert.matches("^function\t%[collegedb%]/argparse.lua\t%[collegedb%]/text_table.lua\nnil\t", result.stdout)
      assert.equal(0, result.status)
    end)

    it("but a file on disk wins", function()
      os.execute("mkdir -p " .. process.quote(folder .. "/collegedb"))
      process.write(folder .. "/collegedb/errors.lua", "return 'mine'")
      process.write(folder .. "/argparse.lua", "return 'mine too'")
      script "print(require 'collegedb.errors', require 'argparse')"
      assert.matches("^mine\tmine too", collegedb({ "script.lua" }, { env = nowhere }).stdout)
      process.write(folder .. "/collegedb/init.lua", "return { name = ... }")
      script "local module, origin = require 'collegedb' print(module.name, origin)"
      assert.equal("collegedb\t./collegedb/init.lua\n", collegedb({ "script.lua" }).stdout)
    end)

    it("and does not take a config ./collegedb.lua for the module", function()
      process.write(folder .. "/collegedb.lua", "return { kv = 'directory.db', shards = {} }")
      script "print(type(require('collegedb').open))"
      assert.equal("function\n", collegedb({ "script.lua" }).stdout)
    end)

    it("and names the place in them where an error came from", function()
      script "require('collegedb.json').object(1)"
      assert.matches("collegedb: %[collegedb%]/json.lua:%d+: ", collegedb({ "script.lua" }).stderr)
    end)

    it("and says where it looked for a module that is not there", function()
      script "require 'collegedb.nowhere'"
      assert.matches("no embedded module 'collegedb.nowhere'", collegedb({ "script.lua" }).stderr)
      process.write(folder .. "/broken.lua", "x = = 1")
      script "require 'broken'"
      assert.matches("error loading module 'broken'", collegedb({ "script.lua" }).stderr)
    end)
  end)

  it("takes only options that it knows, and says its version", function()
    local unknown = collegedb { "--frobnicate" }
    assert.equal(2, unknown.status)
    assert.matches("^collegedb: unknown option '%-%-frobnicate'\nusage:", unknown.stderr)
    for _, option in ipairs { "-v", "--version" } do
      local version = collegedb { option }
      assert.matches("^collegedb %d+%.%d+%.%d+ %(Lua 5%.4%.%d+%)\n$", version.stdout)
      assert.equal(0, version.status)
    end
  end)
end)
