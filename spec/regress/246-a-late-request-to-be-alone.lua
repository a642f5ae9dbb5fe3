-- A statement by which a program says that it is alone at a directory without transactions, and that was sent twice
-- since its answer was lost, kept all others out for as long as that program went on, when it arrived late.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local presence = require "collegedb.single_presence"

describe("a program that had been alone at a directory", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("lets others in again, also when a request to be alone comes late", function()
    local settings = fixture.config()
    settings.kv = fixture.single "directory.db"
    local db = fixture.open(settings)
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    local dir, late = core.state(db).directory, nil
    local first = dir.store.first
    function dir.store.first(store, sql, params)
      if sql:find("SET alone = 1", 1, true) then late = { sql, params } end
      return first(store, sql, params)
    end
    assert.is_true(dir:alone(function() end))
    dir.store.first = nil
    assert.is_table(dir.store:first(table.unpack(late)))
    dir.presence.ends = core.now() + (presence.lease - presence.margin) * 400 -- it is renewed at the next look
    assert.is_nil(db:first("ada", "SELECT id FROM users WHERE id = 'ada'"))
    local other = fixture.config()
    other.kv = fixture.single "directory.db"
    assert.is_nil(fixture.open(other):first("ada", "SELECT id FROM users WHERE id = 'ada'"))
  end)
end)
