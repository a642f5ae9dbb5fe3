-- With `check_keys`, a program without memory for the list of tables to look at crashed at its next write; or nothing
-- was looked at any more, without a word.

local starved = require "spec.support.starved"

local SCRIPT <const> = [[
  local function try(at)
    local path = os.tmpname()
    os.remove(path)
    local db <close> = collegedb.open { kv = ":memory:", shards = { { name = "a", path } }, check_keys = true }
    db:ensure_schema "CREATE TABLE IF NOT EXISTS t (id TEXT PRIMARY KEY)"
    local _, _, count = scarcity.call({ at = at, of = "own" }, function()
      db:ensure_schema "CREATE TABLE IF NOT EXISTS u (id TEXT PRIMARY KEY)"
      db:run("k", "INSERT INTO u VALUES ('k')")
    end)
    db:run("k", "INSERT INTO t VALUES ('k')")
    local written, err = pcall(db.run, db, "k", "INSERT INTO t VALUES ('other')")
    assert(not written and err.code == "USAGE", err)
    for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
    return count
  end

  local count = try(0)
  for at = 1, count do try(at) end
  print(count > 15)]]

it("regression 551: check_keys looks at the tables, also after memory ran out", function()
  assert.equal("true\n", starved.script(SCRIPT))
end)
