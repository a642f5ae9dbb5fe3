-- A dry run that was interrupted printed a command that integrates in earnest; and a name with a space was two words.

local process = require "spec.support.process"

-- Sends the interrupt to itself while the rules are asked about a conflict.
local CONFIG <const> = [[
  return {
    kv = "directory.db", auto_migrate = false,
    shards = { { name = "east", "east.db" }, { name = "my west", "west.db" } },
    rules = { conflict = function()
      if os.getenv "GO_ON" then return "keep" end
      io.popen("kill -INT " .. io.open("/proc/self/stat"):read "n"):close()
      for _ = 1, 1e6 do end
    end },
  }]]

describe("regression 087:", function()
  local folder
  before_each(function()
    folder = process.new_folder()
    process.write(folder .. "/my config.lua", CONFIG)
    for _, name in ipairs { "east", "west" } do
      local script = "CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('u')"
      process.run({ "sqlite3", name .. ".db", script }, { folder = folder })
    end
    process.run({ process.collegedb, "integrate", "east", "--config", "my config.lua" }, { folder = folder })
  end)
  after_each(function() process.remove(folder) end)

  local function interrupted(...)
    local words = { process.collegedb, "integrate", "my west", "--config", "my config.lua", ... }
    local result = process.run(words, { folder = folder })
    assert.equal(130, result.status, result.stderr)
    return assert(result.stderr:match "to go on: (collegedb [^\n]*)\n")
  end

  local function go_on(line)
    return process.run({ "sh", "-c", process.quote(process.collegedb) .. line:match "^collegedb( .*)" },
      { folder = folder, env = { GO_ON = "1" } })
  end

  it("what an interrupted integration prints can be typed as it is", function()
    local result = go_on(interrupted())
    assert.equal(0, result.status, result.stderr)
    assert.matches("my west: 1 tables, 1 records, .* 1 conflicts", result.stdout)
  end)

  it("what an interrupted dry run prints is a dry run", function()
    local result = go_on(interrupted("--dry-run", "--json"))
    assert.equal(0, result.status, result.stderr)
    assert.matches('"dry_run":true', result.stdout)
  end)
end)
