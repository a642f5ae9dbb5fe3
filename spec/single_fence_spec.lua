-- The fence of shards that take a statement at a time.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local recovery = require "collegedb.recovery"
local single = require "spec.support.single"

describe("the fence of shards that take a statement at a time", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function on_both(db, sql)
    for _, name in ipairs { "a", "b" } do db:shard(name):exec(sql) end
  end

  local function triggers(name)
    return fixture.rows(name .. ".db", [[SELECT count(*) AS n, count(DISTINCT substr(name, 18, 22)) AS fences
      FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '\_collegedb\_fence\_%' ESCAPE '\']])[1]
  end

  local changes = {
    ["a column more"] = "ALTER TABLE settings ADD COLUMN more",
    ["a table more"] = "CREATE TABLE notes (id TEXT PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE)",
    ["a unique index"] = "CREATE UNIQUE INDEX one_n ON users (mail, n)",
    ["another name for a column"] = "ALTER TABLE settings RENAME COLUMN v TO value",
    ["a table less"] = "DROP TABLE settings",
    ["a table that was made again"] = "DROP TABLE settings; CREATE TABLE settings (id TEXT PRIMARY KEY, v)",
  }
  for what, sql in pairs(changes) do
    it("follows the schema: " .. what, function()
      local db = single.open(single.BOTH)
      local key = single.make(db)
      db:reassign_shard(key, "b")
      on_both(db, sql)
      for _, name in ipairs { "a", "b", "a" } do assert.is_true(db:reassign_shard(key, name).moved) end
      assert.equal(#single.VALUES, fixture.rows("a.db", "SELECT count(*) AS n FROM orders")[1].n)
      assert.equal(1, triggers("a").fences)
      assert.equal(1, triggers("b").fences)
      assert.equal(triggers("a").n, triggers("b").n)
    end)
  end

  it("lets other keyspaces move when a table of one is gone", function()
    local db = single.open(single.BOTH)
    on_both(db, "CREATE TABLE one (id INTEGER PRIMARY KEY, v); CREATE TABLE two (id INTEGER PRIMARY KEY, v)")
    for _, name in ipairs { "one", "two" } do
      db:insert(5, ("INSERT INTO %s VALUES (5, 1)"):format(name))
      db:reassign_shard(5, "b", name)
      db:reassign_shard(5, "a", name)
    end
    on_both(db, "DROP TABLE one")
    assert.is_true(db:reassign_shard(5, "b", "two").moved)
    assert.equal(1, db:first(5, "SELECT v FROM two WHERE id = 5").v)
  end)

  it("is put up by several programs at once, and stands", function()
    local db = single.open(single.BOTH)
    local keys = {}
    for i = 1, 8 do
      keys[i] = fixture.key_on(db, "a", i > 1 and tonumber(keys[i - 1]:sub(2)) + 1 or 1)
      db:insert(keys[i], "INSERT INTO users VALUES (?, ?, 0)", { keys[i], keys[i] })
    end
    db:close()
    fixture.together(4, ([[
      local function shard(name)
        local value = collegedb.sqlite(folder .. "/" .. name .. ".db")
        value.single = true
        return { name = name, value }
      end
      local db = collegedb.open { kv = folder .. "/directory.db", shards = { shard "a", shard "b" } }
      local keys, me = { %s }, tonumber(arg[1])
      wait_for_go()
      for i, key in ipairs(keys) do
        if i %% 4 == me - 1 then db:reassign_shard(key, "b") end
        db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
      end
      db:close()]]):format("'" .. table.concat(keys, "', '") .. "'"))
    db = single.open_again(single.BOTH)
    for _, key in ipairs(keys) do
      assert.equal(4, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
      assert.equal("b", (db:locate(key)))
    end
    assert.equal(1, triggers("a").fences)
    assert.same({}, db:verify().findings)
  end)

  it("is taken down by a repair when nothing is behind it, and put up again", function()
    local db = single.open(single.BOTH)
    local key = single.make(db)
    fixture.raises("MAPPING_NOT_FOUND", nil, db.reassign_shard, db, "nobody", "b")
    db:reassign_shard(key, "b")
    for _, name in ipairs { "a", "b" } do db:shard(name):run "UPDATE _collegedb_own SET at = 0" end
    recovery.forget(core.state(db))
    assert.equal(1, triggers("a").fences) -- it stays
    assert.is_true(db:verify({ repair = true }).success)
    assert.equal(0, triggers("a").n)
    assert.equal(0, triggers("b").n)
    local other = single.make(db, 500, 2)
    db:reassign_shard(other, "b")
    db:reassign_shard(key, "a")
    assert.equal(2, db:first(other, "SELECT count(*) AS n FROM orders WHERE user_id = ?", { other }).n)
  end)

  it("is put up anew by others when a program dies while it does, and a repair removes what was left", function()
    local db = single.open(single.BOTH)
    local key = single.make(db, 1, 2)
    local before = single.contents "a"
    local exec = core.shard_methods.exec
    function core.shard_methods.exec(handle, script) -- luacheck: ignore 122
      if not script:find("CREATE TRIGGER", 1, true) or not script:find("_collegedb_stage_", 1, true) then
        return exec(handle, script)
      end
      exec(handle, script:match "^(.*)CREATE TRIGGER") -- all but the last
      error("died", 0)
    end
    assert.is_false(pcall(db.reassign_shard, db, key, "b"))
    core.shard_methods.exec = exec -- luacheck: ignore 122
    for _, name in ipairs { "a", "b" } do db:shard(name):exec "CREATE UNIQUE INDEX one_n ON users (mail, n)" end
    db:reassign_shard(key, "b")
    assert.same(before, single.contents "b")
    assert.equal(2, triggers("a").fences)
    assert.equal(1, db:verify({ repair = true }).repaired)
    assert.equal(1, triggers("a").fences)
    db:reassign_shard(key, "a")
    assert.same(before, single.contents "a")
  end)
end)
