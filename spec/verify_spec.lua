-- Rows compared with where their keys resolve, and entries with rows.

local fixture = require "spec.support.fixture"

local SHOP = [[
CREATE TABLE users (id TEXT PRIMARY KEY);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);]]

describe("verify", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open()
    local db = fixture.database(SHOP)
    for i = 1, 20 do
      db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i })
      db:insert("k" .. i, "INSERT INTO orders VALUES (?, ?)", { i, "k" .. i })
    end
    return db
  end

  it("finds nothing where all is well, also after moves", function()
    local db = open()
    db:reassign_shard(fixture.key_on(db, "a"), "b")
    local report = db:verify()
    assert.is_true(report.success)
    assert.equal(20, report.keys)
    assert.same({ doubled = 0, misplaced = 0, unmapped = 0, orphaned = 0, leftover = 0, lost = 0 }, report.counts)
    assert.equal(1, report.entries)
    assert.equal(0, report.entries_without_rows)
  end)

  it("finds rows on two shards, rows that are not reached, and rows without a parent", function()
    local db = open()
    local key, other = fixture.key_on(db, "a"), fixture.key_on(db, "b")
    db:shard("b"):exec(("INSERT INTO users VALUES ('%s')"):format(key))
    db:shard("a"):exec("INSERT INTO users VALUES ('new'); INSERT INTO orders VALUES (100, 'nobody')")
    if db:locate "new" == "a" then db:shard("a"):exec("DELETE FROM users WHERE id = 'new'") end
    local misplaced = db:locate "new" == "b" and 1 or 0
    db:shard("b"):run("DELETE FROM users WHERE id = ?", { other })
    local report = db:verify()
    assert.is_false(report.success)
    assert.equal(1, report.counts.doubled)
    assert.is_true(report.counts.misplaced >= misplaced)
    assert.is_true(report.counts.orphaned >= 1)
    for _, finding in ipairs(report.findings) do
      if finding.kind == "doubled" then
        assert.same({ key, "b", "a" }, { finding.key, finding.shard, finding.other_shard })
      end
    end
  end)

  it("repairs what has one right answer", function()
    local db = open()
    local key
    for i = 1, 1000 do
      key = "m" .. i
      if db:locate(key) == "b" then break end
    end
    db:shard("a"):exec(("INSERT INTO users VALUES ('%s')"):format(key))
    assert.is_nil(db:first(key, "SELECT 1 FROM users WHERE id = ?", { key }))
    assert.equal(1, db:verify().counts.misplaced)
    local report = db:verify { repair = true }
    assert.equal(1, report.repaired)
    assert.is_true(db:verify().success)
    db:flush_cache()
    assert.is_not_nil(db:first(key, "SELECT 1 FROM users WHERE id = ?", { key }))
  end)
end)
