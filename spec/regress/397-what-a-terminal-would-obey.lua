-- Keys, names of tables and what services say were written to the terminal as they are: with an escape character in
-- them they could change its title or its keys, or hide what was printed before.

local process = require "spec.support.process"
local shop = require "spec.support.shop"
local terminal = require "collegedb.terminal"
local text_table = require "collegedb.text_table"

local EVIL <const> = "k\27]0;owned\7\194\155x\255"

describe("regression 397:", function()
  local folder
  before_each(function()
    folder = process.new_folder()
    shop.make(folder, 1)
  end)
  after_each(function() process.remove(folder) end)

  local function said(...)
    local result = process.run({ process.collegedb, ... }, { folder = folder })
    local text = result.stdout .. result.stderr
    assert.is_nil(text:gsub("\n", ""):find "%c", text)
    assert.is_nil(text:find("\194\155", 1, true))
    assert.is_not_nil(utf8.len(text))
    return text, result
  end

  it("errors show control characters, and send none", function()
    assert.matches("no shard has a table k\\x1b]0;owned\\x07\\xc2\\x9bx\\xff", said("locate", "a", "--table", EVIL),
      1, true)
    assert.matches("there is no command 'k\\x1b]0;owned", said(EVIL), 1, true)
    assert.matches("no such column: k\\x9b", said("query", "--shard", "west", "SELECT [k\194\155]"), 1, true)
  end)

  it("a program gets the message of an error as a string", function()
    local result = process.run({ process.collegedb, "locate", "a", "--table", EVIL, "--json" }, { folder = folder })
    assert.matches('"message":"no shard has a table k', result.stdout, 1, true)
  end)

  it("tables and lines of text show them", function()
    assert.equal("a\\x1b[2J b\\x9b", terminal.plain "a\27[2J\n b\194\155")
    assert.equal("\\xff", terminal.plain "\255")
    assert.equal("é 東", terminal.plain "é 東")
    assert.equal("k\nb\\x9b\n", text_table.format({ { k = "b\194\155" } }, { "k" }))
  end)

  it("the line that goes on says them as a shell reads them", function()
    local command_line = require "collegedb.command_line"
    local line = command_line.join { "printf", "%s", EVIL .. "'\\" }
    assert.is_nil(line:find "[%c\128-\255]")
    assert.equal(EVIL .. "'\\", process.run({ "bash", "-c", line }).stdout)
  end)
end)
