-- A directory that was deleted or replaced while open went on being read as it was, and claims were lost.

local fixture = require "spec.support.fixture"

describe("regression 032:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, action in ipairs { "rm directory.db", "mv directory.db other.db", "cp directory.db x && mv x directory.db" } do
    it("a claim notices: " .. action, function()
      local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", { strategy = "random" })
      db:insert("u1", "INSERT INTO users VALUES ('u1')")
      os.execute(("cd %s && %s"):format(fixture.path ".", action))
      fixture.raises("UNAVAILABLE", "deleted or replaced", db.insert, db, "u2", "INSERT INTO users VALUES ('u2')")
      assert.equal("u1", db:first("u1", "SELECT id FROM users WHERE id = 'u1'").id)
      assert.equal(1, db:count "users")
      db:close()
      os.remove(fixture.path "directory.db-wal") -- of the file that is gone
      os.remove(fixture.path "directory.db-shm")
    end)
  end
end)
