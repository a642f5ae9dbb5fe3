-- The scanner against SQLite itself: of each statement it must have the kind, the table and the end that SQLite
-- gives it (spec/support/verdict.h), and of those that read the table that is written here. What is sent to D1 for a
-- statement must be one that SQLite takes in the same way.

local core = require "collegedb.core"
local statements = require "spec.fuzz.statements"
local verdict = require "verdict"

describe("the scanner and SQLite", function()
  for _, each in ipairs(statements.read "spec/fuzz/statements.sql") do
    it(("agree about line %d: %s"):format(each.line, each.sql), function()
      assert.is_nil(verdict.disagrees(each.sql))
      assert.equal(each.expected ~= "!", verdict.of(each.sql).accepted)
      if each.expected ~= "!" then
        assert.equal(each.expected ~= "-" and each.expected or nil, core.scan(each.sql).table)
      end
    end)
  end
end)
