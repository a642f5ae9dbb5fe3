-- docs/reference.md is what the annotations and the headers say. That these name everything public, and nothing else,
-- is proved for Lua by spec/types_spec.lua, and for C here.

local process = require "spec.support.process"

local function sorted_lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  table.sort(list)
  return list
end

describe("the reference", function()
  it("is as `make reference` writes it", function()
    local written = process.run { "lua5.4", "scripts/build/reference.lua" }
    assert.equal("", written.stderr)
    assert(written.stdout == process.read "docs/reference.md", "run `make reference`, and commit docs/reference.md")
  end)

  it("has every function that libcollegedb.so exports, and no other", function()
    local symbols = process.run { "nm", "-D", "--defined-only", process.build .. "/libcollegedb.so" }
    local exported, documented = {}, {}
    for name in symbols.stdout:gmatch " T ([%w_]+)" do
      if name:find "^cdb_" or name:find "^luaopen" then exported[#exported + 1] = name end
    end
    local section = assert(process.read "docs/reference.md"):match "\n## C\n(.*)$"
    for name in section:gmatch "\n### [%w_]+\n\n```c\n[^\n]-([%w_]+)%(" do documented[#documented + 1] = name end
    assert.same(sorted_lines(table.concat(exported, "\n")), sorted_lines(table.concat(documented, "\n")))
  end)
end)
