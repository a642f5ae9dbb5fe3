-- consistency = "strict": no read shows rows that a move has left behind.
--
-- Runs alone: programs move and read as fast as they can, and are counted.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local recovery = require "collegedb.recovery"

local SHOP <const> = [[
CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE, n INTEGER);]]

local READ <const> = "SELECT n FROM users WHERE id = ?"

local function start()
  local db = fixture.database(SHOP)
  local key = fixture.key_on(db, "a")
  db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
  db:insert(key, "INSERT INTO orders VALUES (7, ?, 1)", { key })
  return db, key
end

local reads = {
  first = function(db, key) return db:first(key, READ, { key }).n end,
  all = function(db, key) return db:all(key, READ, { key })[1].n end,
  run = function(db, key) return db:run(key, READ, { key }).results[1].n end,
  with = function(db, key) return db:first(key, "WITH u AS (" .. READ .. ") SELECT n FROM u", { key }).n end,
  each = function(db, key)
    local n
    for row in db:each(key, READ, { key }) do n = row.n end
    return n
  end,
  member = function(db) return db:first(7, "SELECT n FROM orders WHERE id = 7").n end,
  sum = function(db, key) return db:first(key, "SELECT sum(n) AS n FROM users WHERE id = ?", { key }).n end,
}

describe("consistency", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is cached or strict", function()
    local e = fixture.raises("CONFIG", "\"strict\"", fixture.open, fixture.config { consistency = "eventual" })
    assert.equal("consistency", e.field)
  end)

  for name, read in pairs(reads) do
    for _, at in ipairs { "send", "commit", "activate", "publish", "clean", "close" } do
      it(("strict reads what is true after %s, by %s"):format(at, name), function()
        local db, key = start()
        local reader = fixture.open(fixture.config { consistency = "strict", mapping_cache_ttl = 1000 })
        local writer = fixture.open(fixture.config())
        assert.equal(1, read(reader, key)) -- remembers shard a
        local seen
        move.run(core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(step)
          if step ~= at then return end
          if step ~= "send" then
            writer:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key })
            writer:run(key, "UPDATE orders SET n = 2 WHERE user_id = ?", { key })
          end
          seen = { read(reader, key), read(reader, key) }
        end })
        local expected = at == "send" and 1 or 2
        assert.same({ expected, expected }, seen)
        assert.equal(expected, read(reader, key))
      end)
    end
  end

  it("strict reads what a dead mover has left at its old place", function()
    local db, key = start()
    local reader = fixture.open(fixture.config { consistency = "strict", mapping_cache_ttl = 1000 })
    assert.equal(1, reads.first(reader, key))
    pcall(move.run, core.state(db), { keyspace = "", keys = { key }, source = 1, target = 2, on_step = function(step)
      if step == "commit" then error "dies" end
    end })
    assert.equal(1, reads.first(reader, key))
    assert.same({ "a", "b" }, fixture.holders({ "a", "b" }, "users", "id", key)) -- brought in, not yet cleared
    db:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key })
    for _, read in pairs { reads.first, reads.all, reads.each, reads.run } do assert.equal(2, read(reader, key)) end
  end)

  it("strict does not remember a place for longer than shards remember who has left", function()
    local db, key = start()
    local reader = fixture.open(fixture.config { consistency = "strict", mapping_cache_ttl = 1000,
      forward_retention = 0 })
    assert.equal(1, reads.sum(reader, key))
    db:reassign_shard(key, "b")
    db:shard("a"):run "UPDATE _collegedb_own SET at = 0"
    recovery.forget(core.state(reader))
    assert.equal(0, #fixture.rows("a.db", "SELECT * FROM sqlite_schema WHERE name = '_collegedb_own'"))
    assert.equal(1, reads.sum(reader, key))
  end)

  it("strict loops end their look with the loop, also when they fail or are left", function()
    local db, key = start()
    db:close()
    local reader = fixture.open(fixture.config { consistency = "strict" })
    fixture.raises("SQL", nil, reader.each, reader, key, "SELECT nothing FROM users WHERE id = ?", { key })
    for row in reader:each(key, READ, { key }) do
      if row then break end
    end
    local n = 0
    for _ in reader:each(key, READ, { key }) do n = n + 1 end
    assert.equal(1, n)
    reader:run(key, "UPDATE users SET n = 9 WHERE id = ?", { key })
    local other = core.sqlite(fixture.path "a.db", { name = "a" })
    local row = other:first "PRAGMA wal_checkpoint(TRUNCATE)"
    core.close(other)
    assert.equal(0, row.busy) -- no snapshot is held
  end)

  it("strict is never behind what was written, while another process moves the key all the time", function()
    local db, key = start()
    local pipe = fixture.spawn([[
      local db = collegedb.open { kv = folder .. "/directory.db", shards = {
        { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      wait_for_go()
      local stop, n = os.time() + 3, 0
      while os.time() < stop do
        db:reassign_shard(arg[1], n % 2 == 0 and "b" or "a")
        n = n + 1
      end
      print(n)
      db:close()]], key)
    assert.equal("ready", pipe:read "l")
    local reader = fixture.open(fixture.config { consistency = "strict", mapping_cache_ttl = 1000 })
    fixture.write("go", "")
    local stop, n, looked = os.time() + 3, 1, 0
    local list = { reads.first, reads.all, reads.run, reads.each, reads.sum }
    while os.time() < stop do
      n = n + 1
      db:run(key, "UPDATE users SET n = ? WHERE id = ?", { n, key })
      for i = 1, 3 do
        assert.equal(n, list[(n + i) % #list + 1](reader, key))
        looked = looked + 1
      end
    end
    local output = pipe:read "a"
    assert(pipe:close(), output)
    assert.is_true(tonumber(output) > 10 and looked > 100, output .. " moves, " .. looked .. " reads")
  end)
end)
