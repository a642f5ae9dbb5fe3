-- A program that died while it added a shard, after it had told others of it, left a directory that nobody could open
-- (BUSY) until all programs were closed. Now whoever opens it next finishes that.

local epochs = require "collegedb.epochs"
local fixture = require "spec.support.fixture"

local USERS <const> = "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"

describe("a shard whose adding was not finished", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is taken up by the next that opens, while others run", function()
    local one = fixture.database(USERS)
    local replace = epochs.replace
    epochs.replace = function() error("it dies here", 0) end
    assert.is_false(pcall(one.add_shard, one, { name = "c", fixture.path "c.db" }))
    epochs.replace = replace
    local two = fixture.open(fixture.config())
    for i = 1, 60 do
      local key, db = "u" .. i, i % 2 == 0 and one or two
      db:insert(key, "INSERT INTO users VALUES (?, ?)", { key, i })
    end
    assert.is_true(fixture.rows("c.db", "SELECT count(*) AS n FROM users")[1].n > 5)
    for i = 1, 60 do
      for _, db in ipairs { one, two } do
        assert.equal(i, db:first("u" .. i, "SELECT n FROM users WHERE id = ?", { "u" .. i }).n)
      end
    end
    assert.is_true(two:verify().success)
  end)
end)
