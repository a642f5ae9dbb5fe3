-- The directory kept the whole path of a shard that was added while programs ran. A copy of the folder, such as a
-- backup that was looked at, then read and wrote the shard of the original.

local fixture = require "spec.support.fixture"

describe("a copy of the folder with all files", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("has a copy of the shard that was added, too", function()
    os.execute(("mkdir '%s' '%s'"):format(fixture.path "one", fixture.path "one/far"))
    local function config(folder)
      return { kv = fixture.path(folder .. "/directory.db"), auto_migrate = true,
        shards = { { name = "a", fixture.path(folder .. "/a.db") }, { name = "b", fixture.path(folder .. "/b.db") } } }
    end
    local db = fixture.open(config "one")
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    db:add_shard { name = "c", fixture.path "one/far/c.db" }
    local other = fixture.open(config "one") -- finds it by the directory
    for i = 1, 60 do other:insert("u" .. i, "INSERT INTO users VALUES (?, 1)", { "u" .. i }) end
    db:close()
    other:close()
    os.execute(("cp -r '%s' '%s'"):format(fixture.path "one", fixture.path "two"))
    local copy = fixture.open(config "two")
    copy:run_all_shards "UPDATE users SET n = 2"
    assert.equal(60, (copy:count "users"))
    copy:close()
    for _, name in ipairs { "a.db", "b.db", "far/c.db" } do
      assert.equal(1, fixture.rows("one/" .. name, "SELECT max(n) AS n FROM users")[1].n, name)
      assert.equal(2, fixture.rows("two/" .. name, "SELECT min(n) AS n FROM users")[1].n, name)
    end
  end)
end)
