-- An integration that was killed or cancelled goes on where it was, and ends as one that was not.

local fixture = require "spec.support.fixture"

-- Keys of every kind: unique ones, some of many rows, some of none, in a keyspace of their own and in the global one,
-- and conflicts with a.
local SCHEMA <const> = [[
  CREATE TABLE cities (name TEXT PRIMARY KEY, shop TEXT);
  CREATE TABLE logs (id TEXT, line);
  CREATE TABLE odd (id PRIMARY KEY, shop);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, shop TEXT);
]]

local function rows(shop, from, to)
  return (([[
    WITH RECURSIVE n(i) AS (SELECT FROM UNION ALL SELECT i + 1 FROM n WHERE i < TO)
      INSERT INTO orders SELECT i, 'SHOP' FROM n;
    INSERT INTO cities SELECT 'city' || id, 'SHOP' FROM orders;
    INSERT INTO logs SELECT 'log' || (id % 9) || 'SHOP', id FROM orders;
    INSERT INTO logs VALUES (NULL, 1), ('', 1), ('', 2);
    INSERT INTO odd SELECT CASE id % 3 WHEN 0 THEN id + 90000 WHEN 1 THEN 'odd' || id
      ELSE CAST('b' || id AS BLOB) END, 'SHOP' FROM orders;
    INSERT INTO odd VALUES (1.5, 'SHOP'), (NULL, 'SHOP');]])
    :gsub("FROM UNION", from .. " UNION"):gsub("TO%)", to .. ")"):gsub("SHOP", shop))
end

local function make_two()
  fixture.sqlite("a.db", SCHEMA .. rows("a", 1, 30))
  fixture.sqlite("b.db", SCHEMA .. rows("b", 21, 80))
end

local TABLES <const> = {
  "SELECT hex(digest) AS d, shard, version FROM _collegedb_entries ORDER BY digest",
  "SELECT name, integrated, conflicts FROM _collegedb_shards ORDER BY id",
  "SELECT * FROM _collegedb_jobs", "SELECT * FROM _collegedb_takes", "SELECT * FROM _collegedb_conflicts",
}

local function dump()
  local out = {}
  for i, sql in ipairs(TABLES) do out[i] = fixture.rows("directory.db", sql) end
  return out
end

local function remove_directory()
  for _, tail in ipairs { "", "-wal", "-shm", "-users" } do os.remove(fixture.path("directory.db" .. tail)) end
end

local function config(rules) return fixture.config { auto_migrate = false, rules = rules } end

local function keep_some(key) return (tostring(key):match "%d+" or 0) % 2 == 0 and "keep" or "error" end

-- In an order of their own: a page that was begun twice is read in other parts.
local function sorted(report)
  table.sort(report.conflicts, function(x, y)
    if x.table ~= y.table then return x.table < y.table end
    return x.key < y.key
  end)
  return report
end

-- What comes of it when nothing goes wrong.
local function outcome(opts, rules)
  remove_directory()
  local db = fixture.open(config(rules))
  db:integrate "a"
  local report = sorted(db:integrate("b", opts))
  db:close()
  return report, dump()
end

-- A process that integrates b and is killed when it has told its progress for the n-th time. True if it came so far.
local function killed_at(n, opts, with_rules)
  local pipe = fixture.spawn(([[
    local n = 0
    local config = { kv = folder .. "/directory.db", auto_migrate = false,
      shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
    if %s then config.rules = { conflict = function(key)
      return (tostring(key):match "%%d+" or 0) %% 2 == 0 and "keep" or "error" end } end
    local db = collegedb.open(config)
    db:integrate("b", { page = %d, batch = %d, resume = true, on_progress = function()
      n = n + 1
      if n == %d then
        print "killed"
        io.flush()
        os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n")
      end
    end })
    db:close()
    print "ended"]]):format(with_rules, opts.page, opts.batch, n))
  local word = pipe:read "l"
  pipe:read "a"
  pipe:close()
  assert(word == "killed" or word == "ended", word)
  return word == "killed"
end

local function integrate_a()
  local db = fixture.open(config())
  db:integrate "a"
  db:close()
end

describe("an integration", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, case in ipairs {
    { name = "page by page", opts = { page = 7, batch = 100 } },
    { name = "in batches of a page", opts = { page = 40, batch = 6 } },
    { name = "with a policy for conflicts", opts = { page = 40, batch = 6 }, rules = { conflict = keep_some } },
  } do
    it("that is killed at any batch ends as one that was not: " .. case.name, function()
      make_two()
      local report, directory = outcome(case.opts, case.rules)
      assert.equal(report.tables_processed, 4)
      assert.equal(60 * 4 + 5, report.total_records)
      assert.is_true(report.conflict_count >= 20)
      local n, came = 0
      repeat
        n = n + 1
        remove_directory()
        integrate_a()
        came = killed_at(n, case.opts, case.rules ~= nil)
        if came then
          local db = fixture.open(config(case.rules))
          local again = db:integrate("b", { page = case.opts.page, batch = case.opts.batch, resume = true })
          db:close()
          assert.same(report, sorted(again), "killed at " .. n)
        end
        assert.same(directory, dump(), "killed at " .. n)
      until not came
      assert.is_true(n > 20)
    end)
  end

  it("that is killed again and again comes to its end", function()
    make_two()
    local opts = { page = 40, batch = 6 }
    local report, directory = outcome(opts)
    remove_directory()
    integrate_a()
    local kills = 0
    while killed_at(4, opts) do kills = kills + 1 end
    assert.is_true(kills > 5)
    assert.same(directory, dump())
    assert.is_true(report.conflict_count > 0)
  end)

  -- Stops b's integration at its n-th batch.
  local function stop_at(db, n, opts)
    local count = 0
    opts.page, opts.batch = 9, 4
    opts.on_progress = function()
      count = count + 1
      return count < n
    end
    return db:integrate("b", opts), count
  end

  it("that was cancelled goes on", function()
    make_two()
    local report, directory = outcome { page = 9, batch = 4 }
    remove_directory()
    local db = fixture.open(config())
    db:integrate "a"
    local part = stop_at(db, 20, {})
    assert.is_true(part.cancelled)
    assert.is_false(part.success)
    assert.is_true(part.total_records > 0 and part.total_records < report.total_records)
    assert.is_false(db:get_shard_stats()[2].integrated)
    db:close()
    db = fixture.open(config())
    local first
    local again = db:integrate("b", { page = 9, batch = 4, resume = true, on_progress = function(done)
      first = first or done
    end })
    assert.is_true(first > 0)
    assert.same(report, sorted(again))
    db:close()
    assert.same(directory, dump())
  end)

  it("that was cancelled may also be begun anew", function()
    make_two()
    local db = fixture.open(config())
    stop_at(db, 20, {})
    local first
    local report = db:integrate("b", { page = 9, batch = 4, on_progress = function(done) first = first or done end })
    assert.is_true(first <= 9)
    assert.equal(60 * 4 + 5, report.total_records)
  end)

  for what, change in pairs {
    ["was rolled back"] = function(other) other:rollback "b" end,
    ["lost an entry"] = function(other)
      local mapper, i = other:mapper(), 31
      while not mapper:delete_shard_mapping("city" .. i) do i = i + 1 end
    end,
    ["has another key column"] = function(other) other:shard("b"):exec "CREATE TABLE more (id INTEGER PRIMARY KEY)" end,
  } do
    it("begins anew when its shard " .. what .. " in between", function()
      make_two()
      local report = outcome { page = 9, batch = 4 }
      remove_directory()
      local db = fixture.open(config())
      db:integrate "a"
      stop_at(db, 20, {})
      change(db)
      local first
      local again = db:integrate("b", { page = 9, batch = 4, resume = true, on_progress = function(done)
        first = first or done
      end })
      assert.is_true(first <= 9)
      assert.equal(report.total_records, again.total_records)
      assert.equal(report.conflict_count, again.conflict_count)
      for i = 31, 80 do
        assert.equal("b", (db:locate("city" .. i)))
        assert.equal("b", (db:locate(i, "orders")))
      end
    end)
  end

  it("begins anew when the shards are others", function()
    make_two()
    local db = fixture.open(config())
    db:integrate "a"
    stop_at(db, 20, {})
    db:close()
    db = fixture.open(fixture.config({ auto_migrate = false }, { "a", "b", "c" }))
    local first
    db:integrate("b", { page = 9, resume = true, on_progress = function(done) first = first or done end })
    assert.is_true(first <= 9)
    for i = 31, 80 do assert.equal("b", (db:locate("city" .. i))) end
  end)

  it("goes on at the next open", function()
    make_two()
    local db = fixture.open(config())
    db:integrate "a"
    stop_at(db, 20, {})
    db:close()
    db = fixture.open(fixture.config { auto_migrate = true })
    assert.equal(60 * 4 + 5, db:integration_report("b").total_records)
    assert.is_true(db:get_shard_stats()[2].integrated)
    for i = 31, 80 do assert.equal("b", (db:locate("city" .. i))) end
  end)

  it("by another instance at the same time is not disturbed", function()
    make_two()
    local report, directory = outcome { page = 9, batch = 4 }
    remove_directory()
    local one, two = fixture.open(config()), fixture.open(config())
    one:integrate "a"
    local count, inner = 0, nil
    local outer = one:integrate("b", { page = 9, batch = 4, on_progress = function()
      count = count + 1
      if count == 10 then inner = two:integrate("b", { page = 9, batch = 4, resume = true }) end
    end })
    assert.equal(report.total_records, outer.total_records)
    assert.equal(report.total_records, inner.total_records)
    assert.equal(report.conflict_count, outer.conflict_count)
    assert.equal(report.conflict_count, inner.conflict_count)
    one:close()
    two:close()
    assert.same(directory, dump())
  end)

  it("inside its own progress, and a rollback there, leave nothing behind", function()
    make_two()
    local db, count = fixture.open(config()), 0
    db:integrate "a"
    local report = db:integrate("b", { page = 9, batch = 4, on_progress = function()
      count = count + 1
      if count == 10 then assert.equal(60 * 4 + 5, db:integrate("b", { resume = true }).total_records) end
      if count == 20 then db:rollback "b" end
    end })
    assert.equal(60 * 4 + 5, report.total_records)
    for i = 31, 80 do assert.equal("b", (db:locate("city" .. i))) end
    db:close()
    for k = 3, 5 do assert.same({}, dump()[k]) end
  end)

  it("tells rows, rate and what remains", function()
    make_two()
    local db, last = fixture.open(config()), 0
    db:integrate("b", { page = 9, on_progress = function(done, total, label, info)
      assert.equal(60 * 4 + 5, total)
      assert.is_true(done >= last and done <= total)
      assert.is_string(label)
      assert.is_number(info.rate)
      assert.is_true(info.remaining == nil or info.remaining >= 0)
      last = done
    end })
    assert.is_true(last >= 60 * 4)
  end)

  it("says which key columns have no index, once, and succeeds", function()
    fixture.sqlite("a.db", "CREATE TABLE logs (id TEXT, line); INSERT INTO logs VALUES ('x', 1), ('x', 2), ('y', 3)")
    local db = fixture.open(fixture.config({ auto_migrate = false }, { "a" }))
    local report = db:integrate "a"
    assert.is_true(report.success)
    assert.equal(3, report.total_records)
    assert.equal(2, report.mappings_created)
    assert.equal(1, #report.notes)
    assert.matches('CREATE INDEX "logs_id" ON "logs" %("id"%)', report.notes[1])
    db:shard("a"):exec 'CREATE INDEX "logs_id" ON "logs" ("id")'
    assert.same({}, db:integrate("a").notes)
  end)

  it("takes primary_key_column where the database routes by it", function()
    make_two()
    local db = fixture.open(config())
    assert.is_true(db:integrate("a", { tables = { "orders" }, primary_key_column = "ID" }).success)
    fixture.raises("USAGE", "routes table orders by id", db.integrate, db, "a",
      { tables = { "orders" }, primary_key_column = "shop" })
  end)
end)
