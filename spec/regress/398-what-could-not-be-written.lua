-- A command whose output could not be written ended with status 0, and `status --watch` went on for ever.

local process = require "spec.support.process"
local shop = require "spec.support.shop"

describe("regression 398:", function()
  local folder
  before_each(function()
    folder = process.new_folder()
    shop.make(folder, 1)
  end)
  after_each(function() process.remove(folder) end)

  local function to_full_disk(words)
    local line = ("timeout 20 %s %s >/dev/full"):format(process.quote(process.collegedb), words)
    return process.run({ "sh", "-c", line }, { folder = folder })
  end

  it("is told, and is exit status 1", function()
    for _, words in ipairs { "help", "validate --json", "report --no-verify -o -" } do
      local result = to_full_disk(words)
      assert.equal(1, result.status, words)
      assert.matches("standard output can not be written", result.stderr)
    end
  end)

  it("ends who watches", function()
    local result = to_full_disk "status --watch 0.1 --json"
    assert.equal(1, result.status)
    assert.matches("standard output can not be written", result.stderr)
  end)
end)
