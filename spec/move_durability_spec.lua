-- What a move costs in commits, and that each of them is on the disk, also where the shard's own are not.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"
local recovery = require "collegedb.recovery"

local SHOP <const> = [[
CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE);]]

-- The transactions in a WAL file: frames that say how large the database is after them. Salts tell old frames.
local function commits_in(name)
  local file <close> = assert(io.open(fixture.path(name .. "-wal"), "rb"))
  local head = file:read(32)
  if not head then return 0 end
  local page, salts, count = string.unpack(">I4", head, 9), head:sub(17, 24), 0
  for frame in function() return file:read(24) end do
    if frame:sub(9, 16) ~= salts then break end
    if string.unpack(">I4", frame, 5) ~= 0 then count = count + 1 end
    file:seek("cur", page)
  end
  return count
end

-- Calls f, and tells PRAGMA synchronous inside each transaction on a shard meanwhile.
local function watch(f)
  local original, seen = core.shard_methods.transaction, {}
  function core.shard_methods:transaction(body)
    return original(self, function(tx)
      seen[#seen + 1] = { core.shard_name(self), tx:first("PRAGMA synchronous").synchronous }
      return body(tx)
    end)
  end
  local done, err = pcall(f)
  core.shard_methods.transaction = original
  assert(done, err)
  return seen
end

local function check_full(seen, least)
  assert.is_true(#seen >= least, #seen .. " steps")
  for i, each in ipairs(seen) do assert(each[2] >= 2, ("step %d, on %s, is not FULL"):format(i, each[1])) end
end

local function start(extra)
  local db = fixture.database(SHOP, extra)
  local key = fixture.key_on(db, "a")
  db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
  for i = 1, 5 do db:insert(key, "INSERT INTO orders VALUES (?, ?)", { i, key }) end
  return db, key
end

describe("the steps of a move", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("are twelve commits or less", function()
    local db, key = start()
    local function all() return commits_in "directory.db" + commits_in "a.db" + commits_in "b.db" end
    for _, target in ipairs { "b", "a", "b" } do
      local before = all()
      db:reassign_shard(key, target)
      local commits = all() - before
      assert.is_true(commits >= 7 and commits <= 12, commits .. " commits")
    end
  end)

  for _, synchronous in ipairs { "off", "normal" } do
    it("are on the disk where synchronous is " .. synchronous, function()
      local fields = { synchronous = synchronous }
      local db, key = start { shards = { a = fields, b = fields } }
      local before = db:shard("a"):first("PRAGMA synchronous").synchronous
      check_full(watch(function() db:reassign_shard(key, "b") end), 7)
      for _, name in ipairs { "a", "b" } do
        assert.equal(before, db:shard(name):first("PRAGMA synchronous").synchronous)
      end
    end)
  end

  for _, step in ipairs { "copy", "commit" } do
    it("that recovery takes after " .. step .. " are on the disk, too", function()
      local fields = { synchronous = "off" }
      local db, key = start { shards = { a = fields, b = fields } }
      local state = core.state(db)
      -- A mover that dies there leaves this.
      local own = move.steps
      move.steps = {}
      for i, name in ipairs(own) do
        move.steps[i] = name
        if name == step then break end
      end
      local done, err = pcall(move.run, state, { keyspace = "", keys = { key }, source = 1, target = 2 })
      move.steps = own
      assert(done, err)
      check_full(watch(function() recovery.run(state, true) end), 2)
      assert.same({ step == "commit" and "b" or "a" }, fixture.holders({ "a", "b" }, "users", "id", key))
      assert.equal(0, db:shard("a"):first("PRAGMA synchronous").synchronous)
    end)
  end

  it("leave a pragma of the user's as it was when they fail", function()
    local db, key = start()
    for _, name in ipairs { "a", "b" } do db:shard(name):exec "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON" end
    db:shard("b"):run "INSERT INTO users VALUES ('z', 1)"
    db:shard("b"):run "INSERT INTO orders VALUES (1, 'z')"
    fixture.raises("CONFLICT", nil, db.reassign_shard, db, key, "b")
    for _, name in ipairs { "a", "b" } do
      assert.equal(0, db:shard(name):first("PRAGMA synchronous").synchronous)
      assert.equal(1, db:shard(name):first("PRAGMA foreign_keys").foreign_keys)
    end
    assert.is_true(collegedb.is_error(select(2, pcall(db.reassign_shard, db, key, "b")), "CONFLICT"))
  end)
end)
