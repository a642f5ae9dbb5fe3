-- Control-C while the config was read for its script_dirs was taken for a fault of the config, and the command ran on.

local process = require "spec.support.process"

describe("regression 350:", function()
  it("an interrupt while the config is read ends the command", function()
    local folder = process.new_folder()
    process.write(folder .. "/collegedb.lua", [[
      io.popen("kill -INT " .. io.open("/proc/self/stat"):read "n"):close()
      for _ = 1, 1e6 do end
      return { kv = "directory.db", shards = { { name = "a", "a.db" } } }]])
    local result = process.run({ process.collegedb, "status" }, { folder = folder })
    assert.same({ 130, "collegedb status: interrupted\n" }, { result.status, result.stderr })
    assert.is_nil(process.read(folder .. "/directory.db"))
    process.remove(folder)
  end)
end)
