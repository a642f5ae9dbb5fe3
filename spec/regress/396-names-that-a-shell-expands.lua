-- In bash a shard named `*`, or a file named `[f]1`, was completed as the names of other files, of which it is a
-- pattern.

local process = require "spec.support.process"

local own <const> = process.collegedb:match "^(.*)/[^/]*$"

local ASK <const> = [[
  eval "$(collegedb completion bash)"
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
  _collegedb
  printf '%s\n' "${COMPREPLY[@]}"
]]

describe("regression 396:", function()
  it("bash offers names as they are", function()
    local folder = process.new_folder()
    process.write(folder .. "/collegedb.lua", [[
      return { kv = "directory.db", shards = { ["*"] = "a.db", ["b c"] = "b.db" } }]])
    process.write(folder .. "/f1", "")
    process.write(folder .. "/[f]1", "")
    local function offered(...)
      local result = process.run({ "bash", "-c", ASK, "bash", "collegedb", ... }, { folder = folder,
        env = { PATH = own .. ":" .. os.getenv "PATH" } })
      assert.equal("", result.stderr)
      return result.stdout
    end
    assert.equal("\\*\nb\\ c\n", offered("rollback", ""))
    local files = {}
    for line in offered("report", "-o", ""):gmatch "[^\n]+" do files[#files + 1] = line end
    table.sort(files)
    assert.same({ "[f]1", "collegedb.lua", "f1" }, files)
    process.remove(folder)
  end)
end)
