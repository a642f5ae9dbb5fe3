-- What doctor finds, on set-ups that are broken in one way each; and that it changes nothing by looking.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

local SCHEMA <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE);
  CREATE INDEX orders_user ON orders (user)]]

describe("doctor", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- Two shards with forty keys.
  local function make(extra, names)
    local db = collegedb.open(fixture.config(extra, names))
    db:ensure_schema(SCHEMA)
    for i = 1, 40 do db:insert("k" .. i, "INSERT INTO users VALUES (?, 'x')", { "k" .. i }) end
    db:close()
    return fixture.config(extra, names)
  end

  local function texts(report)
    local lines = {}
    for i, each in ipairs(report.diagnoses) do
      lines[i] = ("%s %s/%s: %s | %s"):format(each.state, each.topic, each.about, each.what, each.mend or "")
    end
    return table.concat(lines, "\n")
  end

  -- The finding whose text has the pattern.
  local function finds(state, pattern, given, ...)
    local report = doctor.run(given, ...)
    for _, each in ipairs(report.diagnoses) do
      if each.state == state and each.what:find(pattern) then
        assert.equal(state ~= "fault" and report.success, report.success)
        assert.is_true(state ~= "fault" or each.mend ~= nil, "no advice: " .. each.what)
        return each
      end
    end
    error(("nothing says %s %q in:\n%s"):format(state, pattern, texts(report)))
  end

  local function shell(command, ...)
    assert(os.execute((command:format(...))), command)
  end

  it("is content with what is in order, and leaves every byte as it was", function()
    local given = make()
    local before = {}
    for _, name in ipairs(fixture.files()) do before[name] = ("%q"):format(core.sha256(fixture.bytes(name))) end
    local report = doctor.run(given)
    assert.is_true(report.success, texts(report))
    local after = {}
    for _, name in ipairs(fixture.files()) do after[name] = ("%q"):format(core.sha256(fixture.bytes(name))) end
    assert.same(before, after)
    assert.matches("program: CollegeDB [%d.]+, Lua 5%.4, SQLite 3", texts(report))
  end)

  it("makes nothing of a config that was never opened", function()
    local report = doctor.run(fixture.config())
    assert.is_false(report.success)
    assert.same({}, fixture.files())
  end)

  describe("of the config", function()
    it("tells all wrong fields, and goes on with the others", function()
      local given = make()
      given.nonsense, given.move_deadline, given.shards[2].weight = 1, "soon", -3
      os.remove(fixture.path "a.db")
      local all = texts(doctor.run(given))
      assert.matches("fault settings/config: nonsense is no field here", all)
      assert.matches("fault settings/config: move_deadline takes", all)
      assert.matches("fault settings/config: shards%[2%]%.weight takes", all)
      assert.matches("fault files/a: there is no file", all)
      assert.equal("soon", given.move_deadline) -- the caller's table is as it was
      assert.matches("^fault settings/config: shards is missing[^\n]*$", texts(doctor.run { kv = "directory.db" }))
    end)

    it("tells settings that hurt", function()
      local given = make()
      given.shards[1].journal_mode, given.shards[1].busy_timeout, given.shards[2].synchronous = "memory", 0, "off"
      finds("fault", 'journal_mode = "memory"', given)
      finds("note", "busy_timeout = 0 s", given)
      finds("note", "power cut can damage", given)
    end)

    it("finds folders of scripts that are not there, and scripts that do not load", function()
      finds("fault", "script_dirs%[1%]: /nowhere can not be used", make { script_dirs = { "/nowhere" } })
      local given = fixture.config { strategy = function() return "c" end }
      assert.equal("scripts", finds("fault", 'returned "c" for the key', given).topic)
      shell("mkdir -p %s", fixture.path "mine/strategies")
      fixture.write("mine/strategies/bad.lua", "return {")
      given = fixture.config { script_dirs = { fixture.path "mine" }, strategy = "bad" }
      finds("fault", "mine/strategies/bad.lua", given)
    end)
  end)

  describe("of files", function()
    it("finds two names of one file", function()
      local given = make()
      shell("ln -s a.db %s", fixture.path "c.db")
      given.shards[3] = { name = "c", fixture.path "c.db" }
      finds("fault", "c.db is the file of a as well", given)
      shell("ln %s %s", fixture.path "b.db", fixture.path "d.db")
      finds("fault", "b.db has 2 names %(hard links%)", given)
    end)

    it("finds what is no file, is damaged, or was cut off", function()
      local given = make()
      local bytes = fixture.bytes "a.db"
      fixture.write("a.db", bytes:sub(1, #bytes // 2))
      assert.matches("backup", finds("fault", "cut off", given).mend)
      -- The middle of a page that holds rows.
      fixture.write("a.db", bytes:sub(1, #bytes - 4096) .. ("\255"):rep(4096))
      finds("fault", "damaged", given)
      os.remove(fixture.path "a.db")
      fixture.write("a.db-wal", "x")
      finds("fault", "while .*a.db%-wal is there", given)
      os.remove(fixture.path "a.db-wal")
      shell("mkdir %s", fixture.path "a.db")
      finds("fault", "a.db is no file but a folder", given)
      shell("rmdir %s", fixture.path "a.db")
      finds("fault", "no folder for it", { kv = fixture.path "x/y.db", shards = given.shards })
    end)

    it("finds who else may write or read them", function()
      local given = make()
      shell("chmod 666 %s", fixture.path "a.db")
      assert.matches("^chmod o%-w", finds("fault", "every user of this machine may write", given).mend)
      shell("chmod 644 %s", fixture.path "a.db")
      finds("note", "other users of this machine may read .*a.db", given)
      shell("chmod 600 %s/*", fixture.path "")
      assert.not_matches("may read", texts(doctor.run(given)))
    end)

    -- What a machine for tests does not have is said by who looks at files.
    local function with(ending, facts, f)
      local look = core.file_facts
      function core.file_facts(path)
        local found, why = look(path)
        if found and path:sub(-#ending) == ending then
          for field, value in pairs(facts) do found[field] = value end
        end
        return found, why
      end
      local done, err = pcall(f)
      core.file_facts = look
      if not done then error(err, 0) end
    end

    it("finds a network's file system, and a disk that is full", function()
      local given = make()
      with("directory.db", { network = "nfs" }, function() finds("fault", "network file system %(nfs%)", given) end)
      with("directory.db", { free = 1 << 20 }, function() finds("fault", "the disk has 1.0 MiB left", given) end)
      with("directory.db", { free = 100 << 20 }, function() finds("note", "the disk has 100.0 MiB left", given) end)
    end)

    it("finds what belongs to others, and a WAL that has grown", function()
      local given = make()
      local db = fixture.open(given)
      db:insert("new", "INSERT INTO users VALUES ('new', 'x')")
      local at = db:locate "new" .. ".db"
      with(at, { writable = false, owner = "app" }, function() finds("fault", "belongs to app", given) end)
      with(at .. "-wal", { writable = false, owner = "app" }, function()
        finds("fault", "%-wal belongs to app, and this user may not write it", given)
      end)
      with(at .. "-wal", { owner = "app" }, function() finds("note", "belongs to app, and the database to", given) end)
      with(at .. "-wal", { size = 1 << 30 }, function() finds("note", "%-wal has grown to 1024.0 MiB", given) end)
    end)
  end)

  describe("of the directory", function()
    it("finds one of a newer version, and one that is no database", function()
      local given = make()
      fixture.rows("directory.db", "UPDATE _collegedb_counters SET value = 2 WHERE name = 'format'")
      assert.matches("newer", finds("fault", "another version of CollegeDB %(its format is 2", given).mend)
      fixture.write("directory.db", ("no database "):rep(500))
      finds("fault", "file is not a database", given)
    end)

    it("finds settings that are not those it was made with", function()
      local given = make { mapping_secret = "one" }
      given.mapping_secret = "another"
      assert.matches("set mapping_secret", finds("fault", "mapping_secret is not the one", given).mend)
      assert.equal("directory", finds("fault", "mapping_secret is not the one", given).about)
    end)

    it("tells moves that were left, and why; and ends them when it is asked to", function()
      local given = make()
      local db = collegedb.open(given)
      local key = fixture.key_on(db, "a")
      movers.die(key, "copy", "a", "b")
      movers.unlock()
      finds("note", "1 move is under way", given) -- for all it knows, of the program that has it open
      db:close()
      finds("fault", "move %d+ from a to b was left half way, with 1 key: no program has the directory open; its lease "
        .. "ends in %d+ s", given)
      movers.expire()
      local found = finds("fault", "move %d+ from a to b was left half way, with 1 key: its program has ended", given)
      assert.equal("moves", found.topic)
      assert.equal("sending", fixture.rows("a.db", "SELECT state FROM _collegedb_own WHERE key = ?", { key })[1].state)
      local report = doctor.run(given, true)
      assert.matches("move %d+ from a to b was brought to its end", table.concat(report.repairs, "\n"))
      assert.is_true(report.success, texts(report))
      movers.die(key, "commit", "a", "b")
      movers.expire()
      os.rename(fixture.path "b.db", fixture.path "gone.db")
      finds("fault", "when its keys had left.*it needs shard b, which is not reached", given)
      os.rename(fixture.path "gone.db", fixture.path "b.db")
      assert.is_true(doctor.run(given, true).success)
    end)

    it("tells what is in the way of a move that it could not end", function()
      local db = collegedb.open(fixture.config())
      db:ensure_schema "CREATE TABLE people (id TEXT PRIMARY KEY, mail TEXT UNIQUE)"
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO people VALUES (?, 'ada@x')", { key })
      db:close()
      movers.die(key, "commit", "a", "b")
      fixture.rows("b.db", "CREATE TRIGGER refuses BEFORE INSERT ON people BEGIN SELECT RAISE(ABORT, 'not here'); END")
      movers.expire()
      local found = finds("fault", "move %d+ from a to b .*not here", fixture.config(), true)
      assert.matches("mend what it says", found.mend)
      fixture.rows("b.db", "DROP TRIGGER refuses")
      local report = doctor.run(fixture.config(), true)
      assert.is_true(report.success, texts(report))
    end)

    it("tells who keeps an earlier placement, and what the next open would change", function()
      local given = make()
      local db = fixture.open(given)
      db:add_shard { name = "c", fixture.path "c.db" }
      local found = finds("note", "keys are also looked for where earlier", given)
      assert.matches("no program works with the earlier ones any more: %d+ %(", found.mend)
      db:close()
      assert.matches("ends that$", finds("note", "keys are also looked for", given).mend)
      given.shards[1].weight = 3
      finds("note", "are not those that keys are placed by now", given)
      assert.equal(2, #fixture.rows("directory.db", "SELECT number FROM _collegedb_placements"))
    end)

    it("tells keys that are remembered for too long", function()
      local given = make()
      local db = collegedb.open(given)
      db:reassign_shard("k1", db:locate "k1" == "a" and "b" or "a")
      local from = db:locate "k1" == "a" and "b" or "a"
      db:close()
      fixture.rows(from .. ".db", "UPDATE _collegedb_own SET at = 17")
      finds("note", "remembers of 1 key where they went", given)
    end)
  end)

  it("looks while programs write, and keeps none of them out", function()
    local given = make()
    local db = fixture.open(given)
    db:transaction("k1", function(tx)
      tx:run "UPDATE users SET name = 'y' WHERE id = 'k1'"
      finds("fault", "locked", given) -- the one shard; everything else is told
    end)
    local report = doctor.run(given)
    assert.is_true(report.success, texts(report))
  end)
end)
