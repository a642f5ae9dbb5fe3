-- `status` of a user who may read the files and not write them told "attempt to write a readonly database"; and a
-- config that this user may not read was told as one that is not there.

local process = require "spec.support.process"

describe("regression 416: a user who may only read", function()
  local folder

  before_each(function()
    folder = process.new_folder()
    process.write(folder .. "/collegedb.lua",
      [[return { kv = "directory.db", shards = { { name = "a", "a.db" }, { name = "b?#%", "b?#%.db" } } }]])
    process.write(folder .. "/fill.lua", [[
      local db = require "collegedb".open(dofile "collegedb.lua")
      db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)"
      for i = 1, 20 do db:run("k" .. i, "INSERT OR IGNORE INTO users VALUES (?)", { "k" .. i }) end
      if arg[1] then os.execute(arg[1]) end
      db:close()]])
    assert.equal(0, process.run({ process.collegedb, "fill.lua" }, { folder = folder }).status)
    os.execute(("chmod 755 %s; chmod 644 %s/*"):format(folder, folder))
  end)
  after_each(function()
    os.execute("chmod -R u+rwx " .. folder)
    process.remove(folder)
  end)

  -- As another user if that is possible, else as this one without the right.
  local function other(...)
    local pipe <close> = assert(io.popen "id -u")
    local words = {}
    if pipe:read "n" == 0 then
      words = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups" }
    else
      os.execute(("chmod a-w %s/* %s"):format(folder, folder))
    end
    for _, word in ipairs { process.collegedb, ... } do words[#words + 1] = word end
    return process.run(words, { folder = folder })
  end

  local function listed()
    local pipe <close> = assert(io.popen(("ls %s"):format(process.quote(folder))))
    return pipe:read "a"
  end

  it("sees how it is, and leaves nothing", function()
    local before = listed()
    local result = other("status", "--json")
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.matches('"keys":20', result.stdout)
    assert.equal(before, listed())
    result = other "doctor"
    assert.equal(3, result.status)
    assert.not_matches("readonly database", result.stdout)
    assert.equal(before, listed())
  end)

  it("sees what a program has written that has it open", function()
    local pipe <close> = assert(io.popen(("cd %s && %s fill.lua 'echo ready; sleep 3'"):format(
      process.quote(folder), process.quote(process.collegedb))))
    assert.equal("ready", pipe:read "l")
    assert.matches('"keys":20', other("status", "--json").stdout)
  end)

  it("is told of a config that only others may read", function()
    os.execute("chmod 000 " .. folder .. "/collegedb.lua")
    local result = other "status"
    assert.same({ 1, "" }, { result.status, result.stdout })
    assert.matches("the config file %./collegedb%.lua belongs to .* and this user may not read it", result.stderr)
    result = other "doctor"
    assert.equal(3, result.status)
    assert.matches("may not read it.*to mend: give this user the right to read it", result.stdout)
  end)
end)
