-- `collegedb bench` measures, says so, and leaves nothing behind.

local process = require "spec.support.process"

describe("bench", function()
  local folder
  before_each(function() folder = process.new_folder() end)
  after_each(function()
    local pipe <close> = assert(io.popen("ls " .. folder))
    local left = pipe:read "a"
    process.remove(folder)
    assert.equal("", left)
  end)

  local function run(...) return process.run({ ... }, { env = { TMPDIR = folder } }) end

  it("tells how long reading, updating and inserting take, routed and bare", function()
    local result = run(process.collegedb, "bench", "--rows", "500", "--seconds", "0.1")
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.matches("^500 rows on 4 shards[^\n]*\nwhat +routed +bare SQLite +ratio\n", result.stdout)
    for _, what in ipairs { "read", "update", "insert" } do
      assert.matches("\n" .. what .. " +[%d.]+ µs +[%d.]+ µs +%d+%.%d%d\n", result.stdout)
    end
  end)

  it("leaves nothing behind when it is interrupted", function()
    local result = run("timeout", "--foreground", "-s", "INT", "0.3", process.collegedb, "bench")
    assert.matches("collegedb bench: interrupted", result.stderr)
  end)

  it("refuses numbers that make no sense", function()
    for _, words in ipairs { { "--rows", "0" }, { "--rows", "1.5" }, { "--seconds", "0" }, { "--seconds", "nan" } } do
      assert.equal(2, process.run({ process.collegedb, "bench", table.unpack(words) }).status)
    end
  end)
end)
