-- What a config printed stood before what a command printed, so that --json was no single line.

local process = require "spec.support.process"
local reader = require "collegedb.json_reader"
local shop = require "spec.support.shop"

describe("regression 429:", function()
  local folder
  before_each(function()
    folder = process.new_folder()
    shop.make(folder, 2)
    process.write(folder .. "/collegedb.lua", "print('read', 1) io.write('by io')\n"
      .. process.read(folder .. "/collegedb.lua"))
  end)
  after_each(function() process.remove(folder) end)

  local function run(...) return process.run({ process.collegedb, ... }, { folder = folder }) end

  it("is on standard error", function()
    for _, name in ipairs { "status", "validate", "help" } do
      local result = run(name, "--json")
      assert.matches("^[^\n]+\n$", result.stdout)
      reader.decode(result.stdout)
      assert.equal("read\t1\nby io", result.stderr)
    end
  end)

  it("a program of one's own prints where it likes", function()
    assert.equal("read\t1\nby iodone\n", run("-e", "dofile 'collegedb.lua' print 'done'").stdout)
  end)
end)
