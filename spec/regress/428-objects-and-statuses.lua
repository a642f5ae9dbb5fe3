-- `programs` of status and report was [] where there was no directory, and `error.results` was where no shard had
-- answered; arguments that only the database knows to be wrong were exit status 1, not 2; and argparse's "malformed
-- argument" said neither of which option nor what it takes.

local process = require "spec.support.process"
local shop = require "spec.support.shop"

describe("regression 428:", function()
  local folder
  before_each(function()
    folder = process.new_folder()
    shop.make(folder, 2)
  end)
  after_each(function() process.remove(folder) end)

  local function run(...) return process.run({ process.collegedb, ... }, { folder = folder }) end

  it("an object is one when it is empty", function()
    for _, words in ipairs { { "status", "--json" }, { "report", "--json", "--no-verify" } } do
      assert.matches('"programs":{}', run(table.unpack(words)).stdout, 1, true)
    end
    process.write(folder .. "/collegedb.lua", "return { kv = 'memory:', shards = { a = 'east.db' } }")
    assert.matches('"results":{}', run("query", "--all", "--json", "SELECT * FROM nothing").stdout, 1, true)
  end)

  it("wrong arguments are exit status 2, whoever finds out", function()
    for _, words in ipairs { { "rebalance", "--rate", "0" }, { "verify", "--rate", "0" },
      { "rebalance", "--policy", "nosuch" }, { "query", "k", "SELECT ?" } } do
      local result = run(table.unpack(words))
      assert.equal(2, result.status, table.concat(words, " "))
      assert.matches("USAGE: ", result.stderr)
    end
    assert.equal(1, run("query", "k", "SELECT nonsense").status)
  end)

  it("a mistake in a script, or in the config, is not one of the arguments", function()
    process.write(folder .. "/mine.lua", "return { run = function(ctx) ctx.print_table(1) end }")
    local env = { COLLEGEDB_PATH = "." }
    assert.equal(1, process.run({ process.collegedb, "mine" }, { folder = folder, env = env }).status)
    process.write(folder .. "/collegedb.lua", "return { kv = 'x.db', shards = { require('collegedb').d1 {} } }")
    assert.equal(1, run("status").status)
  end)

  it("a value that is no number is named with its option", function()
    for option, words in pairs { ["--rate takes a number, not 'fast'"] = { "verify", "--rate", "fast" },
      ["--shards takes a whole number, not '1.5'"] = { "init", "--shards", "1.5" },
      ["--limit takes a number, not 'x'"] = { "report", "--limit=x" } } do
      local result = run(table.unpack(words))
      assert.equal(2, result.status)
      assert.matches(option, result.stderr, 1, true)
    end
  end)
end)
