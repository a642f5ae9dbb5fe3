-- Of two programs that inserted one new key both took a turn: a shard was passed over.

local fixture = require "spec.support.fixture"

local INSERT <const> = "INSERT INTO users VALUES (?)"

describe("regression 034:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a claim that another program won spends no turn", function()
    local other
    local strategy = { select = function(key, shards, ctx)
      if key == "k1" and other then
        local first = other
        other = nil
        first:insert(key, INSERT, { key })
      end
      return shards[ctx.turn "t" % 2 + 1].name
    end }
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", { strategy = strategy })
    other = fixture.open(fixture.config { strategy = strategy })
    fixture.raises("CONSTRAINT", nil, db.insert, db, "k1", INSERT, { "k1" })
    db:insert("k2", INSERT, { "k2" })
    assert.same({ "a", "b" }, { (db:locate "k1"), (db:locate "k2") })
  end)
end)
