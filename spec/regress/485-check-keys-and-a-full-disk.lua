-- With check_keys a write that failed on a full disk could leave a transaction open: what the program wrote from then
-- on was seen by itself only, and gone when it ended.

local faultvfs = require "faultvfs"
local fixture = require "spec.support.fixture"
local forks = require "forks"

local SCHEMA <const> = [[CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER);
  CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE);
  CREATE TABLE IF NOT EXISTS items (order_id INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE, line INTEGER,
    PRIMARY KEY (order_id, line))]]

-- Writes and fails, and writes again; then it is gone.
local function write()
  local shim = faultvfs.install()
  local db = require "collegedb".open(fixture.config { check_keys = true })
  for _, name in ipairs { "a", "b" } do db:shard(name):exec "PRAGMA foreign_keys = ON" end
  for at = 1, 8 do
    local key = "k" .. at
    for _, sql in ipairs { "INSERT INTO users VALUES (?2, ?1)",
        "INSERT OR REPLACE INTO items VALUES (?1, length(?2))" } do
      shim:arm { at = at % 4 + 1, action = "full" }
      pcall(db.insert, db, key, sql, { at, key })
      shim:disarm()
    end
    db:insert(key, "INSERT OR REPLACE INTO users VALUES (?, 2)", { key })
  end
  forks.exit(3) -- what is not committed goes
end

describe("regression 485:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a write that fails leaves no transaction", function()
    fixture.database(SCHEMA):close()
    local pid, from, to = forks.start(write)
    local text = from:read "a"
    from:close()
    to:close()
    assert.equal(3, forks.wait(pid), text)
    assert.equal(8, (fixture.open(fixture.config()):count "users"))
  end)
end)
