-- each: rows one at a time, in loops of every shape, and the statement given back however the loop ends.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("each", function()
  local db, shard

  before_each(function()
    fixture.start()
    db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    shard = db:shard(db:locate "k")
    for i = 1, 10 do shard:run("INSERT INTO users VALUES (?, ?)", { "u" .. i, i }) end
  end)
  after_each(fixture.stop)

  local ALL <const> = "SELECT n FROM users ORDER BY n"

  it("gives every row in order", function()
    local seen = {}
    for row in db:each("k", ALL) do seen[#seen + 1] = row.n end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, seen)
  end)

  it("gives four values for `for`", function()
    local values = table.pack(db:each("k", ALL))
    assert.equal(4, values.n)
    assert.is_function(values[1])
    local closing <close> = values[4]
    assert.equal(1, values[1](values[2], values[3]).n)
    assert.is_not_nil(closing)
  end)

  it("gives no row of an empty result, and none after the end", function()
    for _ in db:each("k", "SELECT * FROM users WHERE n > 100") do assert(false, "no row was expected") end
    local step, cursor, start, closing = db:each("k", "SELECT 1 AS n")
    assert.same({ n = 1 }, step(cursor, start))
    assert.is_nil(step(cursor, start))
    assert.is_nil(step(cursor, start))
    getmetatable(closing).__close(closing)
    assert.is_nil(step(cursor, start))
  end)

  it("gives each row as a table of its own", function()
    local rows = {}
    for row in db:each("k", ALL) do rows[#rows + 1] = row end
    assert.equal(1, rows[1].n)
    assert.equal(10, rows[10].n)
  end)

  it("runs the same SQL inside itself", function()
    local count = 0
    for outer in db:each("k", ALL) do
      for inner in db:each("k", ALL) do
        if inner.n == outer.n then count = count + 1 end
        if inner.n > 3 then assert.equal(10, #db:all("k", ALL)) end
      end
      assert.equal(1, db:first("k", ALL).n)
    end
    assert.equal(10, count)
  end)

  it("streams: the first row is there before the last is computed", function()
    local sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    for row in db:each("k", sql) do
      if row.i == 1000 then break end
    end
  end)

  it("gives its statement back after break", function()
    for _ in db:each("k", ALL) do break end -- luacheck: ignore 512
    assert.is_true(#db:all("k", ALL) == 10)
    db:close()
    db = fixture.open(fixture.config())
  end)

  it("gives its statement back after an error in the loop, and passes the error on", function()
    local e = { "mine" }
    local ok, raised = pcall(function()
      for _ in db:each("k", ALL) do error(e) end
    end)
    assert.is_false(ok)
    assert.equal(e, raised)
    shard:exec "DROP TABLE users"
  end)

  it("gives its statement back after return and goto", function()
    local function first_n()
      for row in db:each("k", ALL) do return row.n end -- luacheck: ignore 512
    end
    assert.equal(1, first_n())
    for row in db:each("k", ALL) do
      if row.n == 2 then goto out end
    end
    ::out::
    shard:exec "DROP TABLE users"
  end)

  it("gives its statement back when an abandoned cursor is collected", function()
    for _ = 1, 50 do
      local step, cursor = db:each("k", ALL)
      step(cursor)
    end
    collectgarbage()
    collectgarbage()
    shard:exec "DROP TABLE users"
  end)

  it("gives its statement back when an abandoned coroutine is collected or closed", function()
    local function started()
      local routine = coroutine.create(function()
        for _ in db:each("k", ALL) do coroutine.yield() end
      end)
      coroutine.resume(routine)
      return routine
    end
    started()
    collectgarbage()
    collectgarbage()
    assert.is_true(coroutine.close(started()))
    shard:exec "DROP TABLE users"
  end)

  it("leaves nothing open when the database closes with loops open", function()
    local step, cursor = db:each("k", ALL)
    local step_of_shard, shard_cursor = shard:each(ALL)
    step(cursor)
    step_of_shard(shard_cursor)
    db:close()
    fixture.raises("CLOSED", nil, step, cursor)
    fixture.raises("CLOSED", nil, step_of_shard, shard_cursor)
  end)

  it("lets the loop write", function()
    for row in db:each("k", ALL) do
      db:run("k", "UPDATE users SET n = n WHERE n = ?", { row.n })
      if row.n == 1 then db:insert("k", "INSERT INTO users VALUES ('new', 0)") end
    end
    assert.equal(11, db:count "users")
    shard:exec "DROP TABLE users"
  end)

  it("keeps its parameters, whatever the loop does with their table", function()
    -- Long strings are objects of their own: only params holds these.
    local function text() return ("x"):rep(60) end
    local params = { text(), collegedb.blob(text() .. "b") }
    for row in db:each("k", "SELECT ?1 AS t, ?2 AS b FROM users", params) do
      params[1], params[2] = nil, nil
      collectgarbage()
      for i = 1, 500 do assert.is_string(("y"):rep(60) .. i) end
      assert.equal(text(), row.t)
      assert.equal(text() .. "b", row.b)
    end
  end)

  it("raises what fails in the middle", function()
    local seen = 0
    fixture.raises("SQL", "integer overflow", function()
      local sql = "SELECT abs(CASE n WHEN 4 THEN -9223372036854775807 - 1 ELSE n END) AS v FROM users ORDER BY n"
      for _ in db:each("k", sql) do
        seen = seen + 1
      end
    end)
    assert.is_true(seen <= 3)
    shard:exec "DROP TABLE users"
  end)

  it("works on a shard handle and on a transaction", function()
    local total = 0
    for row in shard:each(ALL) do total = total + row.n end
    shard:transaction(function(tx)
      for row in tx:each("SELECT n FROM users WHERE n > ?", { 5 }) do total = total + row.n end
    end)
    assert.equal(55 + 40, total)
  end)

  it("survives its database being collected", function()
    local step, cursor
    do
      local other = collegedb.open { kv = "memory:", shards = { a = ":memory:" } }
      step, cursor = other:each("k", "VALUES (1), (2), (3)")
    end
    collectgarbage()
    collectgarbage()
    assert.equal(1, step(cursor).column1)
    assert.equal(2, step(cursor).column1)
  end)
end)
