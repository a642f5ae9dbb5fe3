-- A key that was sent ahead without rows, and a move back that was undone: the shard that had sent it ahead forgot so,
-- and one program could insert it there while another one did where it had been sent. (Found by spec/model:
-- UNDO_BY_FLOOR.)

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

describe("a move back to a shard that had sent the key ahead", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("leaves that as it was when it is undone", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER CHECK (n > 0))"
    local before = {}
    for i = 1, 100 do before[i] = db:locate("k" .. i) end
    local other, key = fixture.open(fixture.config { shards = { a = { weight = 0.05 } } }), nil
    for i = 1, 100 do
      if before[i] == "a" and other:locate("k" .. i) == "b" then key = "k" .. i end
    end
    fixture.raises("CONSTRAINT", nil, other.insert, other, key, "INSERT INTO users VALUES (?, -1)", { key })
    local sent = fixture.rows("a.db", "SELECT key, state, peer FROM _collegedb_own")
    assert.same({ { key = key, state = "tomb", peer = "b" } }, sent)
    fixture.raises("MAPPING_NOT_FOUND", nil, move.run, core.state(other),
      { keyspace = "", keys = { key }, source = 2, target = 1 })
    assert.same(sent, fixture.rows("a.db", "SELECT key, state, peer FROM _collegedb_own"))
  end)
end)
