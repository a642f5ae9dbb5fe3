-- A look that was opened anew, because a file had gone, asked a shard through the handle that the look before had
-- closed: `status --watch` ended with CLOSED.

local config = require "collegedb.config"
local fixture = require "spec.support.fixture"
local status = require "collegedb.status"

describe("regression 395:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("status goes on when the file of a shard that no directory knows is taken away", function()
    fixture.sqlite("a.db", "CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('ada')")
    local reader = status.new(config.normalize(fixture.config()))
    assert.equal("open", reader:read().shards[1].state)
    os.remove(fixture.path "a.db")
    local states = {}
    for i = 1, 3 do states[i] = reader:read().shards[1].state end
    reader:close()
    assert.equal("new", states[3], table.concat(states, ", "))
  end)
end)
