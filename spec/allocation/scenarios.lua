-- What is tried while memory runs out. Each is
--
--     { name, run = function(w, db) → result, check = function(w, result), after = function(w, db, done),
--       opens = true, closes = true, fresh = true, old = true, wide = true, utf16 = true, alters = true,
--       allowed = { CODE = true }, prepare = function(w, db), warm = function(w, db), config = { … } }
--
-- `prepare` works on the files that each attempt begins with; with `fresh` there are none, with `old` or `wide` there
-- is another shard, with existing data, and with `utf16` SQLite converts all texts. `run` is what is starved, after
-- `warm`; with `opens` it opens the database itself, with `closes` it closes it, with `alters` it changes tables in
-- transactions. `check` looks at what it returned, `after` at the database when there is memory again; both assert.

local core = require "collegedb.core"

local TEXT <const> = ("some longer text than fits anywhere "):rep(8)
local INSERT <const> = "INSERT INTO users VALUES (?, ?, ?)"
local WIDE <const> = [[SELECT id, n, note, zeroblob(3000) AS zeros, substr(note, 3, 20) AS part,
  n || ' of ' || id AS words FROM users WHERE id = ?]]

local function check_wide(key, row)
  assert(row.id == key and row.n == 1 and row.note == TEXT, "a wrong row")
  assert(row.zeros == ("\0"):rep(3000), "wrong zeros: " .. #row.zeros)
  assert(row.part == TEXT:sub(3, 22), "a wrong part: " .. tostring(row.part))
  assert(row.words == "1 of " .. key, "wrong words: " .. tostring(row.words))
  local columns = 0
  for _ in pairs(row) do columns = columns + 1 end
  assert(columns == 6, "wrong columns")
end

local function insert(w, db) return db:insert(w.new, INSERT, { w.new, 1, TEXT }) end

-- Whether the row is there, which it is once and whole, or not at all; then it can be written again.
local function check_new(w, db, acknowledged)
  local row = db:first(w.new, "SELECT n, note FROM users WHERE id = ?", { w.new })
  assert(row or not acknowledged, "an acknowledged row is lost")
  if row then assert(row.n == 1 and row.note == TEXT, "a torn row")
  else insert(w, db) end
end

local function each(w, db, stop)
  local rows = {}
  for row in db:each(w.keys[1], "SELECT id, n, note, zeroblob(3000) AS zeros FROM users ORDER BY id") do
    rows[#rows + 1] = row
    assert(row.n == 1 and row.note == TEXT and #row.zeros == 3000, "a wrong row") -- now, before an error
    if #rows == stop then break end
  end
  return rows
end

local function check_rows(w, rows, limit)
  local keys = {}
  for i, key in ipairs(w.on[w.home[w.keys[1]]]) do keys[i] = key end
  table.sort(keys)
  local wanted = math.min(limit or #keys, #keys)
  assert(#rows == wanted, ("%d rows, not %d"):format(#rows, wanted))
  for i, row in ipairs(rows) do
    assert(row.id == keys[i] and row.n == 1 and row.note == TEXT and #row.zeros == 3000, "a wrong row")
  end
end

local function add_orders(w, tx)
  for i = 1, 3 do tx:run("INSERT INTO orders VALUES (?, ?, ?)", { w.keys[1] .. "_new" .. i, w.keys[1], i }) end
end

-- Three new orders, or none.
local function check_orders(w, db, acknowledged)
  local n = db:first(w.keys[1], "SELECT count(*) AS n FROM orders WHERE user_id = ? AND id LIKE '%\\_new%' ESCAPE '\\'",
    { w.keys[1] }).n
  assert(n == 3 or not acknowledged and n == 0, ("%d of 3 orders"):format(n))
end

local function to_other(w) return w.home[w.keys[1]] == "a" and "b" or "a" end

local function expect_all(w, db)
  for _, key in ipairs(w.keys) do
    assert(db:first(key, "SELECT 1 AS yes FROM users WHERE id = ?", { key }), key .. " is not found")
  end
  for i in ipairs(w.keys) do -- under a name that is the same only where it is known how they compare
    local row = db:first("CODE" .. i, "SELECT n FROM codes WHERE id = ?", { "CODE" .. i })
    assert(row and row.n == i, "CODE" .. i .. " is not found")
  end
end

local NEW_TABLE <const> = [[CREATE TABLE IF NOT EXISTS things (id TEXT PRIMARY KEY, n INTEGER);
  CREATE INDEX IF NOT EXISTS things_n ON things (n)]]

-- A file that was there before, with users of its own, one of them also among ours.
local function make_old(w)
  local shard = core.sqlite(w:path "old.db", { journal_mode = "delete" })
  shard:exec(w.schema)
  for i = 1, 6 do
    shard:run(INSERT, { "old" .. i, 1, TEXT })
    shard:run("INSERT INTO orders VALUES (?, ?, 1)", { "old" .. i .. "_1", "old" .. i })
  end
  core.close(shard)
end

-- A file whose texts SQLite converts.
local function make_wide(w)
  local shard = core.sqlite(w:path "wide.db", { journal_mode = "delete" })
  shard:exec "PRAGMA encoding = 'UTF-16'; CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT)"
  for i = 1, 5 do shard:run("INSERT INTO notes VALUES (?, ?)", { i, TEXT .. i }) end
  core.close(shard)
end

local function expect_old(_, db)
  for i = 1, 6 do
    local row = db:first("old" .. i, "SELECT n FROM users WHERE id = ?", { "old" .. i })
    assert(row and row.n == 1, "old" .. i .. " is not found")
  end
end

local list = {
  { name = "first", run = function(w, db) return db:first(w.keys[1], WIDE, { w.keys[1] }) end,
    check = function(w, row) check_wide(w.keys[1], row) end },
  { name = "first, with all in the caches",
    warm = function(w, db) db:first(w.keys[1], WIDE, { w.keys[1] }) end,
    run = function(w, db) return db:first(w.keys[1], WIDE, { w.keys[1] }) end,
    check = function(w, row) check_wide(w.keys[1], row) end },
  { name = "insert", run = insert,
    check = function(_, result) assert(result.success and result.meta.changes == 1 and #result.results == 0) end,
    after = check_new },
  { name = "insert that returns its row",
    run = function(w, db)
      return db:first(w.new, INSERT .. " RETURNING id, note || 'x' AS more", { w.new, 1, TEXT })
    end,
    check = function(w, row) assert(row.id == w.new and row.more == TEXT .. "x") end, after = check_new },
  { name = "insert, with check_keys", config = { check_keys = true }, run = insert,
    check = function(_, result) assert(result.success and result.meta.changes == 1) end, after = check_new },
  { name = "insert, placed by round_robin", config = { strategy = "round_robin" }, run = insert,
    check = function(_, result) assert(result.success and result.meta.changes == 1) end, after = check_new },
  { name = "all", run = function(w, db) return db:all(w.keys[1], WIDE, { w.keys[1] }) end,
    check = function(w, rows)
      assert(#rows == 1)
      check_wide(w.keys[1], rows[1])
    end },
  { name = "each", run = function(w, db) return each(w, db) end, check = check_rows },
  { name = "each, left after a row", run = function(w, db) return each(w, db, 1) end,
    check = function(w, rows) check_rows(w, rows, 1) end },
  { name = "each of UTF-16, with conversions", run = function(_, db)
      local shard = db:shard "wide"
      local n = 0
      for row in shard:each "SELECT id, note FROM notes ORDER BY id" do
        n = n + 1
        assert(row.id == n and row.note == TEXT .. n, "a wrong row")
      end
      return n
    end,
    wide = true, check = function(_, n) assert(n == 5, n .. " rows") end },
  { name = "transaction", after = check_orders,
    run = function(w, db)
      return db:transaction(w.keys[1], function(tx)
        add_orders(w, tx)
        return tx:first("SELECT count(*) AS n FROM orders WHERE user_id = ?", { w.keys[1] }).n
      end)
    end,
    check = function(_, n) assert(n == 5, "orders: " .. tostring(n)) end },
  { name = "transaction in a transaction", after = check_orders, allowed = { CLOSED = true },
    run = function(w, db)
      return db:transaction(w.keys[1], function(tx)
        tx:transaction(function(inner) add_orders(w, inner) end)
        local _, err = pcall(tx.transaction, tx, function(inner)
          inner:run("DELETE FROM orders")
          error("back", 0)
        end)
        if err ~= "back" then error(err, 0) end
        return tx:first("SELECT count(*) AS n FROM orders WHERE user_id = ?", { w.keys[1] }).n
      end)
    end,
    check = function(_, n) assert(n == 5, "orders: " .. tostring(n)) end },
  { name = "transaction that changes tables", alters = true, after = check_orders,
    run = function(w, db)
      db:transaction(w.keys[1], function(tx)
        tx:exec "CREATE TABLE more (id TEXT PRIMARY KEY)"
        add_orders(w, tx)
        tx:exec "DROP TABLE more"
      end)
    end },
  { name = "batch", after = check_orders,
    run = function(w, db)
      local statements = {}
      for i = 1, 3 do
        statements[i] = { "INSERT INTO orders VALUES (?, ?, ?)", { w.keys[1] .. "_new" .. i, w.keys[1], i } }
      end
      return db:batch(w.keys[1], statements)
    end,
    check = function(_, results) assert(#results == 3 and results[3].meta.changes == 1) end },
  { name = "run_all_shards",
    run = function(_, db) return db:run_all_shards "SELECT count(*) AS n FROM users" end,
    check = function(w, results)
      for _, name in ipairs { "a", "b" } do assert(results[name].results[1].n == #w.on[name]) end
    end },
  { name = "close", run = function(_, db) db:close() end, closes = true },
  { name = "open", opens = true, run = function(w) return w:open() end },
  { name = "open of new files", opens = true, fresh = true, run = function(w) return w:open() end },
  { name = "ensure_schema", alters = true, run = function(_, db) db:ensure_schema(NEW_TABLE) end,
    after = function(_, db)
      db:ensure_schema(NEW_TABLE)
      db:insert("thing", "INSERT INTO things VALUES ('thing', 1)")
    end },
  { name = "integrate", old = true,
    run = function(_, db) return db:integrate("old", { resume = true }) end,
    check = function(_, report)
      assert(report.success and report.conflict_count == 0,
        ("%s, %d records"):format(report.success, report.total_records))
    end,
    after = function(w, db)
      assert(db:integrate("old", { resume = true }).success)
      expect_old(w, db)
    end },
  { name = "rollback of an integration", old = true,
    prepare = function(_, db) db:integrate "old" end,
    run = function(_, db) return db:rollback "old" end,
    check = function(_, report) assert(report.success) end, after = expect_old },
  { name = "move", alters = true, run = function(w, db) return db:reassign_shard(w.keys[1], to_other(w)) end,
    check = function(w, report) assert(report.moved and report.to == to_other(w)) end,
    after = function(w, db, acknowledged)
      local at = db:locate(w.keys[1])
      assert(not acknowledged or at == to_other(w), "the key is on " .. tostring(at))
      if not acknowledged then db:reassign_shard(w.keys[1], to_other(w)) end
    end },
  { name = "move of UTF-16", alters = true, utf16 = true,
    run = function(w, db) return db:reassign_shard(w.keys[1], to_other(w)) end,
    after = function(w, db, acknowledged)
      if not acknowledged then db:reassign_shard(w.keys[1], to_other(w)) end
      local row = db:first(w.keys[1], "SELECT note FROM users WHERE id = ?", { w.keys[1] })
      assert(row.note == TEXT, "a wrong text")
    end },
  { name = "rebalance", alters = true, prepare = function(w, db) db:reassign_shard(w.keys[1], to_other(w)) end,
    run = function(_, db) return db:rebalance() end,
    check = function(_, report) assert(report.success) end,
    after = function(_, db) assert(db:rebalance().success) end },
  { name = "add_shard", alters = true,
    run = function(w, db) return db:add_shard { name = "more", w:path "more.db" } end,
    after = expect_all },
  { name = "verify", run = function(_, db) return db:verify() end,
    check = function(_, report) assert(report.success and report.keys > 0) end },
  { name = "integration in the background", old = true, opens = true, after = expect_old,
    run = function(w)
      local db = w:open { auto_migrate = "background" }
      local done, err = pcall(db.wait_integration, db, nil, 20)
      if not done then
        w.raised = db
        error(err, 0)
      end
      return db
    end },
}

list.expect_all, list.make_old, list.make_wide = expect_all, make_old, make_wide
list.TEXT, list.INSERT = TEXT, INSERT

return list
