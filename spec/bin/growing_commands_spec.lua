-- The commands add, rebalance and drain, run as a user runs them.

local cjson = require "cjson"
local process = require "spec.support.process"

describe("the command", function()
  local folder

  before_each(function()
    folder = process.new_folder()
    process.write(folder .. "/collegedb.lua", [[return {
      kv = "directory.db", shards = { { name = "east", "east.db" }, { name = "west", "west.db" } },
    }]])
    process.write(folder .. "/fill.lua", [[
      local db <close> = require "collegedb".open(dofile "collegedb.lua")
      db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER UNIQUE)"
      for i = 1, 60 do db:insert("u" .. i, "INSERT INTO users VALUES (?, ?)", { "u" .. i, i }) end]])
    assert.equal(0, process.run({ process.collegedb, "fill.lua" }, { folder = folder }).status)
  end)
  after_each(function() process.remove(folder) end)

  local function exits(status, ...)
    local result = process.run({ process.collegedb, ... }, { folder = folder })
    assert.equal("", result.stderr)
    assert.equal(status, result.status, result.stdout)
    return result.stdout
  end

  local function count(name)
    return tonumber(process.run({ "sqlite3", name .. ".db", "SELECT count(*) FROM users" }, { folder = folder }).stdout)
  end

  it("add makes a shard, which rebalance gives its keys", function()
    assert.matches("north is a shard now.*collegedb rebalance", exits(0, "add", "north", "north.db"))
    local plan = exits(0, "rebalance", "--dry-run")
    local planned = tonumber(plan:match "(%d+) keys would be moved")
    assert.is_true(planned > 5 and planned < 50, plan)
    assert.matches("east +north +%d+ +about", plan)
    assert.equal(0, count "north")
    assert.matches(planned .. " keys moved, " .. planned .. " rows; 0 keys could not be", exits(0, "rebalance"))
    assert.equal(planned, count "north")
    local report = cjson.decode(exits(0, "rebalance", "--json"))
    assert.same({ true, true, 0 }, { report.success, report.retired, report.planned })
  end)

  it("drain empties a shard, after which the config need not name it", function()
    local before = count "west"
    assert.matches(before .. " keys would be moved", exits(0, "drain", "west", "--dry-run"))
    assert.equal(before, count "west")
    assert.matches("empty and closed", exits(0, "drain", "west"))
    assert.equal(0, count "west")
    process.write(folder .. "/collegedb.lua", [[return { kv = "directory.db", shards = { east = "east.db" } }]])
    assert.matches("u7", exits(0, "query", "u7", "SELECT id FROM users WHERE id = 'u7'"))
  end)

  it("rebalance with what can not be moved ends with 3, and names it", function()
    exits(0, "add", "north", "north.db")
    local key = cjson.decode(exits(0, "rebalance", "--dry-run", "--json")).planned > 0
    assert.is_true(key)
    process.run({ "sqlite3", "north.db", "INSERT INTO users SELECT 'x' || value, value FROM generate_series(1, 60)" },
      { folder = folder })
    local text = exits(3, "rebalance")
    assert.matches("%d+ keys could not be", text)
    assert.matches("has the same n", text)
  end)

  it("that is interrupted leaves all as it should be, says how to go on, and does", function()
    exits(0, "add", "north", "north.db")
    process.run({ "mkdir", "policies" }, { folder = folder })
    process.write(folder .. "/policies/stop.lua", [[
      local base, asked = ..., 0
      return { plan = function(...)
        local choose = base.plan(...)
        return function(...)
          asked = asked + 1
          if asked == 20 and not os.getenv "GO_ON" then
            io.popen("kill -INT " .. io.open("/proc/self/stat"):read "n"):close()
            for _ = 1, 1e6 do asked = asked + 0 end
          end
          return choose(...)
        end
      end }]])
    local words = { process.collegedb, "rebalance", "--policy", "stop", "--rate", "1000" }
    local result = process.run(words, { folder = folder, env = { COLLEGEDB_PATH = "." } })
    assert.equal(130, result.status, result.stderr)
    assert.equal("interrupted; to go on: collegedb rebalance --policy stop --rate 1000\n", result.stderr)
    result = process.run(words, { folder = folder, env = { COLLEGEDB_PATH = ".", GO_ON = "1" } })
    assert.equal(0, result.status, result.stderr)
    assert.is_true(count "north" > 5)
    assert.equal(60, count "north" + count "east" + count "west")
  end)

  it("add --dry-run says whether a shard could be added, and adds none", function()
    assert.equal("north would be a shard, in north.db\n", exits(0, "add", "north", "north.db", "--dry-run"))
    assert.equal('{"dry_run":true,"retiring":false,"shard":"north"}\n',
      exits(0, "add", "north", "north.db", "--dry-run", "--json"))
    assert.is_nil(process.read(folder .. "/north.db"))
    for file, message in pairs { ["west.db"] = "a shard east is there already", ["no/east.db"] = "no" } do
      local name = file == "west.db" and "east" or "north"
      local result = process.run({ process.collegedb, "add", name, file, "--dry-run" }, { folder = folder })
      assert.equal(1, result.status, result.stdout)
      assert.matches(message, result.stderr)
    end
    assert.matches("north is a shard now", exits(0, "add", "north", "north.db"))
  end)

  it("--dry-run makes no file", function()
    local other = process.new_folder()
    process.write(other .. "/collegedb.lua", [[return { kv = "directory.db",
      shards = { { name = "east", "east.db" }, { name = "west", "west.db" } } }]])
    process.run({ "sqlite3", "east.db", "CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('ada')" },
      { folder = other })
    for _, words in ipairs { { "integrate" }, { "rebalance" }, { "drain", "west" }, { "move", "ada", "west" },
      { "rollback", "east" }, { "add", "north", "north.db" }, { "verify", "--repair" } } do
      words[#words + 1] = "--dry-run"
      local result = process.run({ process.collegedb, table.unpack(words) }, { folder = other })
      assert.same({ 0, "" }, { result.status, result.stderr }, table.concat(words, " "))
      local pipe <close> = assert(io.popen("ls " .. other))
      assert.equal("collegedb.lua\neast.db\n", pipe:read "a", table.concat(words, " "))
    end
    process.remove(other)
  end)

  it("refuses what it does not know", function()
    for _, words in ipairs { { "drain" }, { "rebalance", "--rate", "fast" }, { "add", "north" } } do
      assert.equal(2, process.run({ process.collegedb, table.unpack(words) }, { folder = folder }).status)
    end
    local result = process.run({ process.collegedb, "drain", "nowhere" }, { folder = folder })
    assert.equal(1, result.status)
    assert.matches("SHARD_NOT_FOUND.*east, west", result.stderr)
    result = process.run({ process.collegedb, "rebalance", "--policy", "odd" }, { folder = folder })
    assert.equal(2, result.status)
    assert.matches("policy odd is not known", result.stderr)
  end)
end)
