-- JSON of another program writes a character beyond U+FFFF as two escapes; they were read as two characters.

local json_reader = require "collegedb.json_reader"

describe("JSON with escapes", function()
  it("has one character where two escapes stand for it", function()
    assert.equal("a😀b", json_reader.decode '"a\\ud83d\\uDE00b"')
    assert.equal("\\ud83d", json_reader.decode '"\\\\ud83d"')
    assert.equal("ä", json_reader.decode '"\\u00e4"')
  end)
end)
