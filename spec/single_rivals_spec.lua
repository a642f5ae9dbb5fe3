-- Moves between shards that take a statement at a time: what is refused, what goes on meanwhile, who is slow.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local recovery = require "collegedb.recovery"
local single = require "spec.support.single"

describe("a move between shards that take a statement at a time", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- What is wrong, SQL that makes it so (of shard a, of shard b), the code and what the message names.
  local cases = {
    { "the target has a row with the same unique value", nil, "INSERT INTO users VALUES ('z', '{key}@x', 1)",
      "CONFLICT", "mail" },
    { "the target has rows of the key", nil, "INSERT INTO orders VALUES (1, '{key}', 1)", "CONFLICT", "orders" },
    { "the target has a row with the same own key", nil, "INSERT INTO orders VALUES (101, 'z', 1)", "CONFLICT", "id" },
    { "the target lacks a table", nil, "DROP TABLE settings", "TABLE_NOT_FOUND", "settings" },
    { "the target's table has another column", nil, "ALTER TABLE settings ADD COLUMN more", "UNSUPPORTED",
      "columns" },
    { "a trigger of the user's would run", nil, [[CREATE TRIGGER mine AFTER INSERT ON orders BEGIN
      UPDATE users SET n = n + 1 WHERE id = new.user_id; END]], "UNSUPPORTED", "mine" },
    { "a unique index is over an expression", "CREATE UNIQUE INDEX odd ON users (lower(mail))", nil, "UNSUPPORTED",
      "odd" },
    { "a row that stays refers to one that goes", [[CREATE TABLE notes (id TEXT PRIMARY KEY, about TEXT
      REFERENCES users (id)); INSERT INTO notes VALUES ('n', '{key}')]],
      "CREATE TABLE notes (id TEXT PRIMARY KEY, about TEXT REFERENCES users (id))", "CONSTRAINT", "1 foreign key" },
    { "a row has lost the one that it follows", "DELETE FROM users", nil, "CONSTRAINT", "foreign keys" },
  }
  for _, case in ipairs(cases) do
    it("is undone, and leaves all as it was, when " .. case[1], function()
      local db = single.open(single.BOTH)
      local key = single.make(db, 1, 3)
      for i, name in ipairs { "a", "b" } do
        local sql = case[i + 1] and case[i + 1]:gsub("{key}", key)
        if sql then db:shard(name):exec(sql) end
      end
      local before = single.contents "a"
      fixture.raises(case[4], case[5], db.reassign_shard, db, key, "b")
      assert.same(before, single.contents "a")
      assert.equal("a", (db:locate(key)))
      db:insert(key, "INSERT INTO orders VALUES (999, ?, 'after')", { key })
      assert.equal(0, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
    end)
  end

  it("deletes no row that another one has begun to refer to, and ends when that is gone", function()
    local db = single.open(single.BOTH)
    for _, name in ipairs { "a", "b" } do
      db:shard(name):exec "CREATE TABLE notes (id TEXT PRIMARY KEY, about TEXT REFERENCES users (id))"
    end
    local key, state = single.make(db, 1, 3), core.state(db)
    local before = single.contents "a"
    local e = fixture.raises("CONSTRAINT", "refer to them", require("collegedb.workflows.move").run, state,
      { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(name)
        if name == "publish" then db:shard("a"):run("INSERT INTO notes VALUES ('n', ?)", { key }) end
      end })
    assert.equal(key, e.key)
    assert.same(before, single.contents "b")
    assert.equal(3, db:first(key, "SELECT count(*) AS n FROM orders WHERE user_id = ?", { key }).n)
    assert.equal(1, db:run(key, "UPDATE users SET n = 7 WHERE id = ?", { key }).meta.changes)
    assert.equal(7, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    db:shard("a"):run "DELETE FROM notes"
    assert.equal(1, recovery.run(state, true).finished)
    assert.same(single.NOTHING, single.count "a")
  end)

  it("goes on when a table was made meanwhile that is none of the group's, and not when it is", function()
    local db = single.open(single.BOTH)
    local key, state = single.make(db, 1, 3), core.state(db)
    local function run(sql)
      return require("collegedb.workflows.move").run(state, { keyspace = "", keys = { key }, source = 1, target = 2,
        on_step = function(name) if name == "copy" then db:shard("a"):exec(sql) end end })
    end
    fixture.raises("CONFLICT", "notes", run,
      "CREATE TABLE notes (id TEXT PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE)")
    db:shard("a"):exec "DROP TABLE notes"
    assert.equal(11, run("CREATE TABLE other (id INTEGER PRIMARY KEY)").rows)
    assert.same(single.NOTHING, single.count "a")
  end)

  it("is met by who was slow: taken back, it does nothing any more", function()
    for _, step in ipairs { "journal", "receive", "send", "copy" } do
      local db = single.open(single.BOTH)
      local key, state = single.make(db, 1, 3), core.state(db)
      local before = single.contents "a"
      local done = pcall(require("collegedb.workflows.move").run, state, { keyspace = "", keys = { key }, source = 1,
        target = 2, on_step = function(name)
          if name == step then assert.equal(step == "journal" and 0 or 1, recovery.run(state, true).undone) end
        end })
      single.check_whole(db, key, before, done and "b" or "a")
      db:close()
      single.remove_files()
    end
  end)

  it("of two at once is done by one", function()
    local db = single.open(single.BOTH)
    local key = single.make(db, 1, 3)
    local before = single.contents "a"
    db:close()
    local outputs = fixture.together(3, ([[
      local function shard(name)
        local value = collegedb.sqlite(folder .. "/" .. name .. ".db")
        value.single = true
        return { name = name, value }
      end
      local db = collegedb.open { kv = folder .. "/directory.db", shards = { shard "a", shard "b" } }
      wait_for_go()
      local moved, failed = 0, 0
      for i = 1, 20 do
        local done, err = pcall(db.reassign_shard, db, %q, (i + arg[1]) %% 2 == 0 and "a" or "b")
        if done then moved = moved + 1
        elseif not (err.code == "CONFLICT" or err.code == "MOVED") then error(err) end
      end
      print(moved)
      db:close()]]):format(key))
    for _, output in ipairs(outputs) do assert.is_true(tonumber(output) ~= nil, output) end
    db = single.open_again(single.BOTH)
    recovery.run(core.state(db), true)
    single.check_whole(db, key, before, (db:locate(key)))
  end)

  it("is noticed by programs that remember where the key was", function()
    local db = single.open(single.BOTH)
    local key = single.make(db, 1, 3)
    local other = single.open_again(single.BOTH)
    local strict = single.open_again(single.BOTH, { consistency = "strict", mapping_cache_ttl = 1000 })
    local function rows(each)
      local n = 0
      for _ in each:each(key, "SELECT id FROM orders WHERE user_id = ?", { key }) do n = n + 1 end
      return n
    end
    for i, name in ipairs { "b", "a", "b" } do
      for _, reader in ipairs { other, strict } do
        assert.equal(3, rows(reader))
        assert.equal("string", type(reader:first(key, "SELECT mail FROM users WHERE id = ?", { key }).mail))
      end
      db:reassign_shard(key, name)
      assert.equal(i, strict:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      assert.equal(3, rows(strict))
      assert.equal(1, other:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes)
      assert.equal(i + 1, other:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      other:insert(key, "INSERT INTO orders VALUES (?, ?, ?)", { 5000 + i, key, "new" .. i })
      local gone = strict:run(key, "DELETE FROM orders WHERE id = ? AND user_id = ?", { 5000 + i, key })
      assert.equal(1, gone.meta.changes)
      assert.equal(i + 1, db:first(key, "UPDATE users SET n = n + 0 WHERE id = ? RETURNING n", { key }).n)
    end
    fixture.raises("UNSUPPORTED", "transactions", db.transaction, db, key, function() end)
  end)
end)
