-- A row on its home was refused because an earlier home, of a shard that has another name now, is not in the config.

local fixture = require "spec.support.fixture"

describe("regression 028:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("the rows of a renamed shard are found", function()
    local db = fixture.database "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY)"
    for i = 1, 20 do db:insert("k" .. i, "INSERT INTO t VALUES (?)", { "k" .. i }) end
    db:close()
    local config = fixture.config()
    config.shards[2].name = "renamed"
    db = fixture.open(config)
    for i = 1, 20 do
      assert.is_not_nil(db:first("k" .. i, "SELECT k FROM t WHERE k = ?", { "k" .. i }))
    end
  end)
end)
