-- The examples that are one file run, again and again. The demo and the program in C have specs of their own.

local process = require "spec.support.process"

describe("the example", function()
  local folder
  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local expected <const> = {
    ["table-kv"] = {
      "Ada +2 visits, on %l+th\n", "Dan +2 visits", 'shard:%x+\t{.*"shard":"%l+th"', '%["north","south"%]',
    },
  }

  for name, patterns in pairs(expected) do
    it(name .. " does what it says", function()
      local command = { process.collegedb, ("examples/%s.lua"):format(name), folder }
      local first = process.run(command)
      assert.equal("", first.stderr)
      for _, pattern in ipairs(patterns) do assert.matches(pattern, first.stdout) end
      local again = process.run(command)
      assert.equal("", again.stderr)
      assert.equal(0, again.status)
      assert.matches("Ada +4 visits", again.stdout)
    end)
  end
end)
