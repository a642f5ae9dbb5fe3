-- A key that another program moved away from a shard while that was drained was reported as having rows on two shards,
-- with the advice to delete those that are wrong.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local router = require "collegedb.router"

local NAMES <const> = { "a", "b", "c" }

describe("regression 496: a key that leaves a shard by itself while it is drained", function()
  local resolve = router.resolve
  before_each(fixture.start)
  after_each(function()
    router.resolve = resolve
    fixture.stop()
  end)

  it("is in nobody's way", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", nil, NAMES)
    local other = fixture.open(fixture.config(nil, NAMES))
    local key = fixture.key_on(db, "b")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    db:reassign_shard(key, "a")
    function router.resolve(state, ...)
      if state == core.state(db) then
        router.resolve = resolve
        other:reassign_shard(key, "c")
      end
      return resolve(state, ...)
    end
    local report = db:drain "a"
    assert.equal(resolve, router.resolve)
    assert.same({}, report.failed)
    assert.is_true(report.success and report.sealed)
    assert.same({ "c" }, fixture.holders(NAMES, "users", "id", key))
  end)
end)
