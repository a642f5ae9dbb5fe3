-- db:locate(key, "users\0x") answered for the table users.

local fixture = require "spec.support.fixture"

describe("regression 035:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a table's name does not end at a NUL byte", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for _, name in ipairs { "users\0x", "users\0" } do
      fixture.raises("TABLE_NOT_FOUND", "NUL", db.locate, db, "k1", name)
    end
  end)
end)
