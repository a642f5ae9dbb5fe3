local text_table = require "collegedb.text_table"

describe("text_table.format", function()
  it("aligns text left and numbers right, by characters", function()
    assert.equal("name    n\nZoë     1\nBo    -12\n",
      text_table.format({ { name = "Zoë", n = 1 }, { name = "Bo", n = -12 } }, { "name", "n" }))
  end)

  it("shows every field, sorted, where no columns are given", function()
    assert.equal("a  b\n1\n   x\n", text_table.format { { a = 1 }, { b = "x" } })
  end)

  it("keeps a row on one line, whatever it holds", function()
    assert.equal("v\na\\nb\\t\\x1b\nx'00ff'\n1.5\n\n",
      text_table.format({ { v = "a\nb\t\27" }, { v = "\0\xff" }, { v = 1.5 }, {} }, { "v" }))
  end)

  it("shows the names alone where there are no rows", function()
    assert.equal("a  b\n", text_table.format({}, { "a", "b" }))
    assert.equal("\n", text_table.format {})
  end)
end)
