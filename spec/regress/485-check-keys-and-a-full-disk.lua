-- With check_keys a commit that failed, on a full disk, left a transaction open: what the program wrote from then on
-- was seen by itself only, and gone when it ended.

local faultvfs = require "faultvfs"
local fixture = require "spec.support.fixture"
local forks = require "forks"

describe("regression 485:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a commit that fails leaves no transaction", function()
    fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"):close()
    local pid, from, to = forks.start(function()
      local shim = faultvfs.install()
      local db = require "collegedb".open(fixture.config { check_keys = true })
      local failed = 0
      for at = 1, 6 do
        shim:arm { at = at, action = "full" }
        local key = "k" .. at
        local done = pcall(db.insert, db, key, "INSERT INTO users VALUES (?, 1)", { key })
        shim:disarm()
        if not done then
          failed = failed + 1
          db:insert(key, "INSERT INTO users VALUES (?, 2)", { key })
        end
      end
      assert(failed > 0)
      forks.exit(3) -- what is not committed goes
    end)
    local text = from:read "a"
    from:close()
    to:close()
    assert.equal(3, forks.wait(pid), text)
    assert.equal(6, (fixture.open(fixture.config()):count "users"))
  end)
end)
