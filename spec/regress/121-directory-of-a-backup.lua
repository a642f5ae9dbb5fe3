-- A directory of a backup did not know keys that round_robin had placed since. An INSERT of such a key gave it a second
-- place, where the first and last keys of the tables were known.

local fixture = require "spec.support.fixture"

describe("regression 121:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("the last rows of each table tell that the directory is older", function()
    local config = fixture.config { strategy = "round_robin" }
    local db = fixture.open(config)
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for _, prefix in ipairs { "a", "z" } do
      for i = 1, 12 do db:insert(prefix .. i, "INSERT INTO users VALUES (?)", { prefix .. i }) end
    end
    db:close()
    local bytes = fixture.bytes "directory.db"
    db = fixture.open(config)
    for i = 1, 9 do db:insert("m" .. i, "INSERT INTO users VALUES (?)", { "m" .. i }) end
    db:close()
    fixture.write("directory.db", bytes)
    db = fixture.open(config)
    for i = 2, 9 do -- at other turns than before
      fixture.raises("CONSTRAINT", nil, db.insert, db, "m" .. i, "INSERT INTO users VALUES (?)", { "m" .. i })
    end
  end)
end)
