-- Existing databases on shards of every kind: what the functions of the module tell of them, and take over.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local kinds = require "spec.support.kinds"

local raises = fixture.raises

for _, kind in ipairs(kinds) do
  describe("an existing database on " .. kind.name, function()
    if kinds.skip(kind, it, function(why) pending(why) end) then return end
    setup(kind.start)
    teardown(kind.stop)
    local value, config

    -- The script, on a connection of its own.
    local function exec(shard_value, script)
      local shards = { { name = "x", shard_value } }
      local db <close> = collegedb.open { kv = "memory:", auto_migrate = false, shards = shards }
      db:shard("x"):exec(script)
    end

    before_each(function()
      fixture.start()
      value = kind.value "a"
      exec(value, [[
        CREATE TABLE users (email TEXT PRIMARY KEY, name TEXT);
        CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT);
        CREATE TABLE tags (post INTEGER, tag TEXT, PRIMARY KEY (post, tag));
        CREATE VIEW names AS SELECT name FROM users;
        INSERT INTO users VALUES ('ada@x', 'Ada'), ('bea@x', 'Bea'), ('ä@x', 'Ä');
        INSERT INTO posts VALUES (1, 'one'), (2, 'two'), (9007199254740993, 'large'), (-5, 'below');]])
      config = { kv = fixture.path "directory.db", auto_migrate = false,
        shards = { { name = "a", value }, kinds.entry(kind, "b") } }
    end)
    after_each(fixture.stop)

    it("is looked at", function()
      assert.same({ "posts", "tags", "users" }, collegedb.list_tables(value))
      local found = collegedb.validate_table_for_sharding(value, "USERS")
      assert.same({ true, "users", "email", 3 },
        { found.is_valid, found.table_name, found.primary_key_column, found.record_count })
      exec(value, "CREATE TABLE log (line TEXT)")
      found = collegedb.validate_table_for_sharding(value, "log")
      assert.is_false(found.is_valid)
      assert(#found.issues > 0)
      raises("TABLE_NOT_FOUND", "nope", collegedb.validate_table_for_sharding, value, "nope")
      local keys = {}
      for i, key in ipairs(collegedb.discover_existing_primary_keys(value, "posts")) do keys[i] = tostring(key) end
      table.sort(keys)
      assert.same({ "posts:-5", "posts:1", "posts:2", "posts:9007199254740993" }, keys)
      local streamed = 0
      for key in collegedb.each_existing_primary_key(value, "users") do
        assert.matches("@x$", tostring(key))
        streamed = streamed + 1
      end
      assert.equal(3, streamed)
    end)

    it("is taken over with the first look, and not twice", function()
      assert.is_true(collegedb.check_migration_needed(value, "a", config))
      local done = collegedb.auto_detect_and_migrate(value, "a", config)
      assert.same({ true, true, {} }, { done.migration_needed, done.migration_performed, done.issues })
      assert.is_false(collegedb.check_migration_needed(value, "a", config))
      done = collegedb.auto_detect_and_migrate(value, "a", config)
      assert.same({ false, false }, { done.migration_needed, done.migration_performed })
      collegedb.clear_migration_cache()
      local db <close> = collegedb.open(config)
      assert.equal("Ada", db:first("ada@x", "SELECT name FROM users WHERE email = 'ada@x'").name)
      assert.equal("large", db:first(9007199254740993, "SELECT title FROM posts WHERE id = 9007199254740993").title)
      assert.is_true(db:verify().success)
    end)

    it("is taken over by its name, and given back", function()
      local db <close> = collegedb.open(config)
      local plan = db:integrate("a", { dry_run = true })
      assert.same({ true, 7 }, { plan.success, plan.total_records })
      local report = collegedb.integrate_existing_database(value, "a", db:mapper())
      assert.same({ true, "a", 7, {}, 0 },
        { report.success, report.shard_name, report.total_records, report.conflicts, report.conflict_count })
      assert.equal("a", (db:locate("bea@x")))
      assert.is_true(db:rollback("a") ~= nil)
      assert.equal("Bea", db:first("bea@x", "SELECT name FROM users WHERE email = 'bea@x'").name)
      local names = collegedb.list_tables(value)
      assert.same({ "posts", "tags", "users" }, names)
      raises("USAGE", "shard b", collegedb.check_migration_needed, value, "b", config)
    end)

    it("meets another one with the same keys as conflicts", function()
      exec(config.shards[2][1], [[CREATE TABLE users (email TEXT PRIMARY KEY, name TEXT);
        INSERT INTO users VALUES ('ada@x', 'Another'), ('new@x', 'New');]])
      local db <close> = collegedb.open(config)
      assert.is_true(db:integrate("a").success)
      local report = db:integrate "b"
      assert.same({ false, 1 }, { report.success, report.conflict_count })
      local conflict = report.conflicts[1]
      assert.same({ "ada@x", "users", "b", "a" },
        { tostring(conflict.key), conflict.table, conflict.shard, conflict.other_shard })
      assert.equal("Ada", db:first("ada@x", "SELECT name FROM users WHERE email = 'ada@x'").name)
      assert.equal("New", db:first("new@x", "SELECT name FROM users WHERE email = 'new@x'").name)
      assert.equal(1, db:verify().counts.doubled)
    end)
  end)
end
