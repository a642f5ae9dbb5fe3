-- What a program did not catch was written to the terminal as it is, with whatever a file of strangers had put into it:
-- the name of a column could change the terminal's title, or hide what was printed before.

local process = require "spec.support.process"

describe("regression 504:", function()
  local RAISE <const> = 'require "collegedb.core".sqlite(":memory:", {}):run "SELECT `a\\27]0;x\\7\\194\\155é\\9b`"'

  it("errors of scripts and of the prompt show control characters, and send none", function()
    local folder = process.new_folder()
    process.write(folder .. "/x.lua", RAISE)
    for _, run in ipairs { { { "-e", RAISE } }, { { "./x.lua" } }, { { "-i" }, RAISE .. "\n" }, { { "-" }, RAISE } } do
      local result = process.run({ process.collegedb, table.unpack(run[1]) }, { folder = folder, input = run[2] })
      assert.matches("a\\x1b]0;x\\x07\\xc2\\x9bé\tb", result.stderr, 1, true)
      assert.is_nil(result.stderr:gsub("[\n\t]", ""):find "%c")
      assert.is_nil(result.stderr:find("\194\155", 1, true))
    end
    process.remove(folder)
  end)
end)
