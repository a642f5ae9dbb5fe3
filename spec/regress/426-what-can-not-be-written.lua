-- `collegedb report -o` waited for ever for a reader of a pipe. Of a folder, a full disk and a folder that is not there
-- it said what Lua says, without a code, and named a file that nobody had asked for; so did `collegedb init`.

local process = require "spec.support.process"
local reader = require "collegedb.json_reader"
local shop = require "spec.support.shop"

describe("regression 426:", function()
  local folder
  before_each(function()
    folder = process.new_folder()
    shop.make(folder, 1)
  end)
  after_each(function()
    os.execute("chmod -R u+w " .. folder)
    process.remove(folder)
  end)

  local function run(...) return process.run({ process.collegedb, ... }, { folder = folder }) end

  local function fails(code, path, ...)
    local result = run(...)
    assert.equal(code == "USAGE" and 2 or 1, result.status, result.stderr)
    assert.matches(code .. ": ", result.stderr)
    assert.matches(path, result.stderr, 1, true)
    assert.is_nil(result.stderr:find "%.tmp")
    local told = table.pack(...)
    told[#told + 1] = "--json"
    if told[1] == "init" then assert.equal(code, reader.decode(run(table.unpack(told)).stdout).error.code) end
  end

  it("a page that can not be written is told with a code, and the name that was typed", function()
    os.execute(("cd %s && mkdir sub && mkfifo pipe && mkdir shut && chmod 555 shut"):format(folder))
    for _, path in ipairs { "sub", "sub/", "pipe", "none/x.html", "collegedb.lua/x.html",
      ("x"):rep(256) .. ".html" } do
      fails("USAGE", path, "report", "--no-verify", "-o", path)
    end
    local none = run("report", "-o", "")
    assert.equal(2, none.status)
    assert.matches("-o takes a file, or - for standard output", none.stderr, 1, true)
    fails("FULL", "/dev/full", "report", "--no-verify", "-o", "/dev/full")
    if process.run({ "id", "-u" }).stdout ~= "0\n" then
      fails("READONLY", "shut/x.html", "report", "--no-verify", "-o", "shut/x.html")
    end
    assert.equal("", run("report", "--no-verify", "-o", "/dev/null").stderr)
    assert.equal("pipe\n", process.run({ "sh", "-c", "ls | grep pipe" }, { folder = folder }).stdout)
    assert.equal("", process.run({ "sh", "-c", "ls -R | grep tmp; true" }, { folder = folder }).stdout)
  end)

  it("so is a folder that init can not make", function()
    fails("USAGE", "/proc/x", "init", "/proc/x")
    fails("USAGE", "collegedb.lua/x", "init", "collegedb.lua/x")
    fails("USAGE", "none/x", "init", "none/x")
  end)

  it("a slow_query_log that is a pipe without a reader is no reason to wait", function()
    os.execute("mkfifo " .. folder .. "/log")
    process.write(folder .. "/collegedb.lua", [[return { kv = "d.db", shards = { { name = "east", "east.db" } },
      slow_query = 1, slow_query_log = "log" }]])
    local result = run("query", "k", "SELECT 1")
    assert.equal(1, result.status)
    assert.matches("slow_query_log: log can not be written", result.stderr)
  end)
end)
