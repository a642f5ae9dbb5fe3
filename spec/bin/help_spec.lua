-- What `collegedb help` says of the commands is true: examples run, options are named, the manual page is one.

local process = require "spec.support.process"
local shop = require "spec.support.shop"

local own <const> = process.collegedb:match "^(.*)/[^/]*$"

local function shipped()
  local pipe <close> = assert(io.popen "ls scripts/*.lua")
  local names = {}
  for line in pipe:lines() do names[#names + 1] = line:match "([%w_]+)%.lua$" end
  return names
end

describe("help", function()
  local folder
  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local function collegedb(...) return process.run({ process.collegedb, ... }, { folder = folder }) end

  local function text_of(...)
    local result = collegedb(...)
    assert.same({ 0, "" }, { result.status, result.stderr })
    return result.stdout
  end

  local function examples_of(name)
    local list, inside = {}, false
    for line in text_of("help", name):gmatch "[^\n]*" do
      inside = inside and line ~= "" or line == "Examples:"
      if inside then list[#list + 1] = line:match "^   (%l.*collegedb .*)$" or line:match "^   (collegedb .*)$" end
    end
    return list
  end

  for _, name in ipairs(shipped()) do
    it("has examples that run: " .. name, function()
      local lines = examples_of(name)
      assert(#lines > 0, "it has none")
      for _, line in ipairs(lines) do
        process.remove(folder)
        folder = process.new_folder()
        if name ~= "init" then shop.make(folder, nil, name == "metrics" and ' statistics_dir = "."' or nil) end
        if line:find "%-%-resume" then text_of "integrate" end
        if line:find "%-%-watch" then line = "timeout --preserve-status -s INT 2 " .. line end -- as Ctrl-C ends it
        local result = process.run({ "bash", "-c", line },
          { folder = folder, env = { PATH = own .. ":" .. os.getenv "PATH" }, timeout = 30 })
        assert(result.status == 0 or result.status == 3,
          ("%s: status %d\n%s%s"):format(line, result.status, result.stdout, result.stderr))
        assert.equal("", result.stderr)
      end
    end)
  end

  it("says of every command what its usage, options and exit statuses are", function()
    for _, name in ipairs(shipped()) do
      local text = text_of("help", name)
      assert.equal(text, text_of(name, "--help"))
      assert.matches("^Usage: collegedb " .. name, text)
      assert.matches("Exit status: 0 done; 1 failed.*; 2 wrong usage; .*130 interrupted%.\n$", text)
      local usage = text:match "^[^\n]*"
      text = text:gsub("\n +(%-%l) [^\n]*\n +%-%-[%l-]+", "\n   %1") -- one of two names is enough
      for option in text:gmatch "\n   [^ \n]*,? ?(%-%-[%l-]+)" do
        local common = option == "--help" or option == "--config" or option == "--json"
        assert(common or usage:find(option, 1, true), name .. ": the usage does not have " .. option)
      end
    end
  end)

  it("lists the commands in groups, a user's own at the end", function()
    process.write(folder .. "/mine.lua", "return { summary = 'Mine.', run = print }")
    local result = process.run({ process.collegedb, "help" }, { folder = folder, env = { COLLEGEDB_PATH = "." } })
    local listed = result.stdout
    local last = 0
    for _, title in ipairs { "Set up", "Keys and rows", "Growing", "Looking after it", "The program", "Yours" } do
      local at = assert(listed:find("\n\n" .. title .. ":\n", 1, true), title .. " is missing")
      assert.is_true(at > last)
      last = at
    end
    for _, name in ipairs(shipped()) do assert.matches("\n" .. name .. " ", listed) end
    assert.matches("Yours:\nmine +Mine%. +%./mine.lua\n", listed)
    assert.is_nil(text_of "help":find "Yours")
    assert.matches('"command":"init","does":"[^"]+","group":"Set up"', text_of("help", "--json"))
  end)

  it("asks whether another name was meant", function()
    for typed, meant in pairs { statsu = "status", veryfi = "verify", quer = "query", inti = "init",
      ["add-"] = "add" } do
      local result = collegedb(typed)
      assert.equal(2, result.status)
      assert.matches(("^collegedb %s: there is no command '%s'; did you mean %s%%? there are: add, ")
        :format(typed:gsub("%-", "%%-"), typed:gsub("%-", "%%-"), meant), result.stderr)
    end
    assert.is_nil(collegedb("xylophone").stderr:find "did you mean")
    assert.is_nil(collegedb(("x"):rep(1000)).stderr:find "did you mean")
    assert.matches("Did you mean '%-%-repair'", collegedb("verify", "--repiar").stderr)
  end)

  it("writes a manual page that groff has nothing to say about", function()
    local page = text_of("help", "--man")
    assert.equal(page, process.read(own .. "/collegedb.1"))
    process.write(folder .. "/collegedb.1", page)
    local groff = process.run({ "groff", "-ww", "-man", "-Tascii", "collegedb.1" }, { folder = folder })
    if groff.status == 127 and not os.getenv "CI" then return pending "groff is not installed" end
    assert.same({ 0, "" }, { groff.status, groff.stderr })
    local text = groff.stdout:gsub("\27%[[%d;]*m", ""):gsub(".\b", "")
    for _, name in ipairs(shipped()) do assert.matches("\n   collegedb +" .. name, text) end
    assert.matches("\n +%-%-version\n", text:gsub("%-v, ", ""))
    assert.matches("COLLEGEDB_PATH\n", text)
  end)
end)
