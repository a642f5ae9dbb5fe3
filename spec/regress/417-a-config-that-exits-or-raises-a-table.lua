-- os.exit in a config ended `status` and `doctor` without a word, and as if all were well; of error({}) an address was
-- told.

local process = require "spec.support.process"

describe("regression 417: a config", function()
  local folder

  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local function run(config, ...)
    process.write(folder .. "/collegedb.lua", config)
    return process.run({ process.collegedb, ... }, { folder = folder })
  end

  it("can not end the command that reads it", function()
    local result = run("os.exit(0)", "status")
    assert.equal(1, result.status)
    assert.matches("collegedb.lua:1: a config can not end the program", result.stderr)
    result = run("os.exit(0)", "doctor")
    assert.equal(3, result.status)
    assert.matches("fault config: .*a config can not end the program", result.stdout)
  end)

  it("that raises what is no text is told as such", function()
    assert.equal("collegedb status: SCRIPT: the config raised a table\n", run("error({})", "status").stderr)
    assert.equal("collegedb status: SCRIPT: the config raised a nil\n", run("error()", "status").stderr)
    assert.matches("in words", run("error(setmetatable({}, { __tostring = function() return 'in words' end }))",
      "status").stderr)
  end)
end)
