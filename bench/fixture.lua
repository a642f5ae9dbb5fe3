--- The data that figures run on: users with a TEXT key and four columns.

local floor = require "floor"

local fixture = {}

fixture.schema = [[CREATE TABLE users (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, age INTEGER NOT NULL, score REAL NOT NULL)]]
fixture.select = "SELECT * FROM users WHERE id = ?"
fixture.update = "UPDATE users SET age = ? WHERE id = ?"
fixture.insert = "INSERT INTO users (id, name, age, score) VALUES (?, ?, ?, ?)"

function fixture.key(i) return ("user-%08d"):format(i) end
function fixture.row(i, key) return { key or fixture.key(i), "Name of user number " .. i, i % 90, i * 0.25 } end

--- Makes a file with the table; `accept(key)` chooses the rows among the first `count`.
function fixture.create(path, count, accept)
  local connection = floor.open(path, "OFF")
  floor.exec(connection, fixture.schema)
  floor.exec(connection, "BEGIN")
  local insert = floor.prepare(connection, fixture.insert, "write")
  for i = 1, count do
    local key = fixture.key(i)
    if not accept or accept(key) then insert(fixture.row(i, key)) end
  end
  floor.exec(connection, "COMMIT")
  floor.exec(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
  floor.close(connection)
  return path
end

fixture.rows = 100000

--- The file of 100,000 rows that the figures on reading share.
function fixture.users(ctx)
  local path = ctx.tmp .. "/users.db"
  local there = io.open(path)
  if there then there:close() else fixture.create(path, fixture.rows) end
  return path
end

--- `count` of the first `rows` keys, scattered and always the same.
function fixture.sample(count, rows)
  local keys, x = {}, 42
  for i = 1, count do
    x = (x * 1103515245 + 12345) % 2147483648
    keys[i] = fixture.key((x >> 8) % rows + 1)
  end
  return keys
end

return fixture
