-- A directory was put back from before a shard was drained: new keys went to that shard, which refuses rows, and failed
-- with MOVING after ten seconds each. And a config without a shard that has keys was called well.

local fixture = require "spec.support.fixture"

describe("regression 191:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local ABC <const> = { "a", "b", "c" }

  local function copy(from, to)
    os.execute(("cp %s %s"):format(fixture.path(from), fixture.path(to)))
  end

  it("a directory from before a drain learns of it at the next open", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", nil, ABC)
    for i = 1, 30 do db:insert("u" .. i, "INSERT INTO users VALUES (?, 1)", { "u" .. i }) end
    db:close()
    copy("directory.db", "backup.db")
    db = fixture.open(fixture.config(nil, ABC))
    assert.is_true(db:drain("a").sealed)
    db:close()
    copy("backup.db", "directory.db")
    db = fixture.open(fixture.config({ move_deadline = 0.2 }, ABC))
    for i = 31, 60 do db:insert("u" .. i, "INSERT INTO users VALUES (?, 1)", { "u" .. i }) end
    for i = 1, 60 do assert.equal(1, db:first("u" .. i, "SELECT n FROM users WHERE id = ?", { "u" .. i }).n) end
    assert.equal(0, select(2, db:count "users").a)
    assert.is_true(db:verify().success)
  end)

  it("verify names shards that the config does not have", function()
    local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", nil, ABC)
    for i = 1, 30 do db:insert("u" .. i, "INSERT INTO users VALUES (?, 1)", { "u" .. i }) end
    db:close()
    db = fixture.open(fixture.config(nil, { "a", "b" }))
    local report = db:verify()
    assert.is_false(report.success)
    assert.equal("lost", report.findings[1].kind)
    assert.matches("name shard c in the config", report.findings[1].advice)
  end)
end)
