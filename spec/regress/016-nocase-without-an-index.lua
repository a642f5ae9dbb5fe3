-- A NOCASE column id without an index was not folded.

local fixture = require "spec.support.fixture"

describe("regression 016:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a NOCASE id without an index is folded", function()
    fixture.sqlite("a.db", [[CREATE TABLE t (id TEXT COLLATE NOCASE);
      INSERT INTO t VALUES ('a1'), ('a2'), ('a3'), ('a4'), ('a5')]])
    local db = fixture.open(fixture.config())
    for i = 1, 5 do assert.equal("a" .. i, db:first("A" .. i, "SELECT id FROM t WHERE id = ?", { "A" .. i }).id) end
  end)
end)
