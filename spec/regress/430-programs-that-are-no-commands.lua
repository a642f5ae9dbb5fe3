-- With script_dirs = { "." } the programs of the folder one works in stood in `collegedb help` as commands.

local process = require "spec.support.process"

describe("regression 430:", function()
  local folder
  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local function run(...) return process.run({ process.collegedb, ... }, { folder = folder }) end

  it("help lists what returns a command, and plain scripts of other folders", function()
    process.write(folder .. "/collegedb.lua", [[return { kv = "d.db", shards = { a = "a.db" },
      script_dirs = { ".", "tools" } }]])
    os.execute("mkdir -p " .. folder .. "/tools " .. folder .. "/commands")
    process.write(folder .. "/ten.lua", "print 'ten'")
    process.write(folder .. "/mine.lua", "return { summary = 'Mine.', run = print }")
    process.write(folder .. "/tools/clean.lua", "-- Cleans.\nprint 'clean'")
    process.write(folder .. "/commands/tidy.lua", "-- Tidies.\nprint 'tidy'")
    assert.matches("Yours:\nclean +Cleans%. +tools/clean.lua\nmine +Mine%. +%./mine.lua\ntidy +Tidies%. +"
      .. "%./commands/tidy.lua\n\n", run("help").stdout)
    assert.is_nil(run("help", "--json").stdout:find "ten.lua")
    assert.equal("ten\n", run("ten").stdout)
    assert.matches("ten: a script without options", run("help", "ten").stdout)
  end)
end)
