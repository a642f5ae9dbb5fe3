-- A script that makes a table anew, as SQLite advises for what ALTER TABLE can not do, failed once keys had moved:
-- SQLite renames no table to a name that a trigger says and that is of none. On a shard that takes a statement at a
-- time the old table was dropped by then.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

for what, single in pairs { ["files"] = false, ["files of single statements"] = true } do
  describe("a table that is made anew after keys have moved, on " .. what, function()
    before_each(fixture.start)
    after_each(fixture.stop)

    for _, beside in ipairs { "", "CREATE TABLE other (id TEXT PRIMARY KEY);" } do
      it("is fenced as it was before" .. (beside ~= "" and ", with another one" or ""), function()
        local settings = fixture.config()
        for _, shard in ipairs(settings.shards) do
          shard[1] = collegedb.sqlite(shard[1])
          shard[1].single = single
        end
        local db = fixture.open(settings)
        db:ensure_schema("CREATE TABLE users (id TEXT PRIMARY KEY, n);" .. beside)
        local key = fixture.key_on(db, "a")
        db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
        db:reassign_shard(key, "b")
        db:ensure_schema [[CREATE TABLE new (id TEXT PRIMARY KEY, n INTEGER NOT NULL);
          INSERT INTO new SELECT id, n FROM users; DROP TABLE users; ALTER TABLE new RENAME TO users;]]
        assert.equal(1, db:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes)
        local stale = db:shard "a"
        fixture.raises("MOVED", nil, stale.run, stale, "INSERT INTO users VALUES (?, 3)", { key })
        assert.is_true(db:reassign_shard(key, "a").moved)
        assert.equal(2, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
        assert.same({}, db:verify().findings)
      end)
    end
  end)
end
