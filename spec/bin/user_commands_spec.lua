-- `collegedb help` and the files of users, which it looks at and does not run.

local process = require "spec.support.process"

describe("help", function()
  local folder

  before_each(function()
    folder = process.new_folder()
    process.write(folder .. "/.keep", "")
  end)
  after_each(function() process.remove(folder) end)

  local env <const> = { COLLEGEDB_PATH = "." }

  local function write(name, text) process.write(folder .. "/" .. name, text) end

  local function collegedb(...)
    return process.run({ process.collegedb, ... }, { folder = folder, env = env })
  end

  local function line_of(name)
    local result = collegedb "help"
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.matches("\nstatus +Show the shards", result.stdout)
    return result.stdout:match("\n(" .. name:gsub("%p", "%%%0") .. " [^\n]*)")
  end

  for text, expected in pairs {
    ['return { summary = "Counts.", run = print }'] = "mine +Counts%. +%./mine.lua",
    ["return { run = print, summary = 'It\\'s --mine' }"] = "mine +It's %-%-mine +%./mine.lua",
    ["local m = {}\nm.summary = [[Two\nlines]]\nfunction m.run() end return m"] = "mine +Two lines +%./mine.lua",
    ['-- summary = "no"\nreturn { summary = "yes", run = print }'] = "mine +yes +%./mine.lua",
    ["-- From the comment.\nreturn { run = print }"] = "mine +From the comment%. +%./mine.lua",
    ["#!/usr/bin/lua\n-- A script.\nos.execute 'touch ran'"] = "mine +A script%. +%./mine.lua",
    ["os.execute 'touch ran'"] = "mine +%./mine.lua",
    ["return { summary = 'x' .. y, run = print }"] = "mine +x +%./mine.lua",
    [""] = "mine +%./mine.lua",
    ["x = = 1"] = "mine +broken: %./mine.lua:1: unexpected symbol near '=' +%./mine.lua",
    ["return { summary = 'unfinished"] = "mine +broken: %./mine.lua:1: unfinished string",
    ["os.execute 'touch ran' error 'boom' return { summary = 'Fails.', run = print }"] = "mine +Fails%. +%./mine.lua",
  } do
    it("tells of a file that reads " .. text:sub(1, 60):gsub("\n", " "), function()
      write("mine.lua", text)
      assert.matches("^" .. expected, line_of "mine")
      assert.is_nil(process.read(folder .. "/ran"))
    end)
  end

  it("names no files where users have none", function()
    assert.matches("^command +does\n", process.run({ process.collegedb, "help" }, { folder = folder }).stdout)
  end)

  it("NAME does not run a script, and tells why a broken command can not be run", function()
    write("plain.lua", "-- Does something.\nos.execute 'touch ran'\ndb:run('k', 'x')")
    local result = collegedb("help", "plain")
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.equal("plain: a script without options of its own, ./plain.lua\nDoes something.\n", result.stdout)
    assert.is_nil(process.read(folder .. "/ran"))
    write("broken.lua", "return {")
    local broken = collegedb("help", "broken")
    assert.equal(1, broken.status)
    assert.matches("^collegedb broken: %./broken.lua:1: ", broken.stderr)
  end)

  it("lists and finds what the folder commands has, before the folder scripts", function()
    assert(os.execute(("mkdir %s/commands %s/scripts"):format(folder, folder)))
    write("commands/mine.lua", "return { summary = 'From commands.', run = function() print 'one' end }")
    write("scripts/mine.lua", "return { summary = 'From scripts.', run = function() print 'two' end }")
    assert.matches("^mine +From commands%. +%./commands/mine.lua", line_of "mine")
    assert.equal("one\n", collegedb "mine".stdout)
  end)

  it("with --json has the same as objects", function()
    write("mine.lua", "return { summary = 'Mine.', run = print }")
    assert.matches('{"command":"mine","does":"Mine.","file":"./mine.lua"}', collegedb("help", "--json").stdout, 1, true)
  end)
end)

describe("the context of a user's command", function()
  local folder

  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local function run(body, ...)
    process.write(folder .. "/mine.lua", ("return { run = function(ctx) %s end }"):format(body))
    return process.run({ process.collegedb, "mine", ... }, { folder = folder, env = { COLLEGEDB_PATH = "." } })
  end

  it("prints every field where no columns are named, and nothing but the head of no rows", function()
    local result = run "ctx.print_table { { b = 1, a = 'x' }, { b = 20, c = 2.5 } } ctx.print_table({}, { 'a', 'b' })"
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.equal("a   b    c\nx   1\n   20  2.5\na  b\n", result.stdout)
    assert.equal('[{"a":"x","b":1}]\n', run("ctx.print_table { { b = 1, a = 'x' } }", "--json").stdout)
  end)

  it("has the arguments and the config, and no database unless it is asked for", function()
    process.write(folder .. "/c.lua",
      "return { kv = 'd.db', strategy = 'random', shards = { { name = 'a', 'a.db' } } }")
    local result = run("print(ctx.args.config, ctx.config.strategy, ctx.name)", "--config", "c.lua")
    assert.equal("c.lua\trandom\tmine\n", result.stdout)
    assert.is_nil(process.read(folder .. "/d.db"))
    assert.equal("1\n", run("print(#ctx.db:list_known_shards())", "--config", "c.lua").stdout)
    assert.matches("^collegedb mine: .*CONFIG: there is no config file", run("return ctx.config").stderr)
  end)

  it("says what is wrong with its arguments, on a terminal or not", function()
    for body, message in pairs {
      ["ctx.print_table(nil)"] = "takes an array of rows, not a nil",
      ["ctx.print_table { 1 }"] = "takes an array of rows; number 1 is a number",
      ["ctx.progress('x')"] = "ctx%.progress takes",
      ["ctx.progress(1, 2, {})"] = "ctx%.progress takes",
    } do
      local result = run(body)
      assert.equal(1, result.status)
      assert.matches("^collegedb mine: %./mine.lua:1: USAGE: .*" .. message, result.stderr)
    end
    process.write(folder .. "/mine.lua", "return { run = function(ctx) ctx.progress(1.5, 3, 'a\\nb') print '.' end }")
    local terminal = process.run({ "script", "-qec", process.quote(process.collegedb) .. " mine", "/dev/null" },
      { folder = folder, env = { COLLEGEDB_PATH = ".", LC_ALL = "C" } })
    assert.matches("^\r\27%[Ka b  #+%.+  50 %%  2 of 3", terminal.stdout)
  end)
end)
