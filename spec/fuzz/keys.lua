-- Keys (src/bind/key.c, src/core/key.c): what SQLite takes for one key in a column is one key here, and what it
-- takes for two is two; a text that stands for an integer, the integer and its text lead to one another; and the
-- names of entries in a table KV (lua/collegedb/kv_format.lua) are as many as there are keys.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local format = require "collegedb.kv_format"

local COLUMNS <const> = { "INTEGER PRIMARY KEY", "INT PRIMARY KEY", "BIGINT PRIMARY KEY", "NUMERIC PRIMARY KEY",
  "DECIMAL(10, 2) PRIMARY KEY", "TEXT PRIMARY KEY", "TEXT COLLATE NOCASE PRIMARY KEY", "VARCHAR(9) PRIMARY KEY",
  "BLOB PRIMARY KEY", "PRIMARY KEY" }

local db = collegedb.open { kv = "memory:", shards = { { name = "a", ":memory:" } }, auto_migrate = true }
local shard = db:shard "a"
for i, column in ipairs(COLUMNS) do shard:exec(("CREATE TABLE t%d (k %s)"):format(i, column)) end

-- A key of some bytes: the first says of which type.
local function key_of(text)
  local kind, rest = (text:byte() or 0) % 4, text:sub(2)
  local eight = (rest .. ("\0"):rep(8)):sub(1, 8)
  if kind == 0 then return rest end
  if kind == 1 then return (string.unpack("<i8", eight)) end
  if kind == 2 then return (string.unpack("<d", eight)) end
  return #rest < 3 and string.unpack("<i2", eight) or tostring(string.unpack("<i8", eight))
end

-- Keyspace and text, or nothing for a key that is refused.
local function canonical(key, sql)
  local done, space, text = pcall(core.key_of, db, key, sql)
  if done then return space, text end
  if not errors.is_error(space, "USAGE") then error(space, 0) end
end

local function show(key) return math.type(key) and tostring(key) or ("%q"):format(key) end

-- Is the row of one found by the other?
local function is_found(table_name, a, b)
  if not pcall(shard.run, shard, ("INSERT INTO %s VALUES (?)"):format(table_name), { a }) then return nil end
  local row = shard:first(("SELECT 1 AS found FROM %s WHERE k = ?"):format(table_name), { b })
  shard:run(("DELETE FROM %s"):format(table_name))
  return row ~= nil
end

local function check_pair(number, a, b)
  local name = "t" .. number
  local sql = ("SELECT * FROM %s WHERE k = ?"):format(name)
  local space, text = canonical(a, sql)
  local other_space, other_text = canonical(b, sql)
  if not (space and other_space) then return end
  local explicit, value = pcall(db.key, db, name, a)
  if explicit then
    local key_space, key_text = core.key_parts(value)
    if key_space ~= space or key_text ~= text then
      error(("db:key(%s) is %q:%q, and the key %q:%q"):format(show(a), key_space, key_text, space, text))
    end
  elseif not errors.is_error(value, "USAGE") then
    error(value, 0)
  end
  local same = space == other_space and text == other_text
  local found = is_found(name, a, b)
  if found == nil or found == same then return end
  -- Behind a NUL NOCASE does not look: docs/concepts.md.
  if COLUMNS[number]:find "NOCASE" and text:find "\0" then return end
  -- In a column that holds bytes as well, a number and its text are two rows with one key: they stay together.
  if same and COLUMNS[number]:find "^[BP]" and type(a) ~= type(b) then return end
  error(("in a column %s %s and %s are %s for SQLite, and have the keys %q:%q and %q:%q"):format(COLUMNS[number],
    show(a), show(b), found and "one" or "two", space, text, other_space, other_text))
end

local function check_decimal(text)
  local value = core.decimal(text)
  if value then assert(tostring(value) == text, "a text of digits that is not the integer's own") end
  local number = math.tointeger(tonumber(text))
  if number and tostring(number) == text then assert(core.decimal(text) == number, "digits that are not read") end
end

local function check_names(a, b, space_size)
  local secret = #a % 2 == 0 and "secret" or nil
  for _, naming in ipairs { { hashed = true, secret = secret }, { hashed = false }, { hashed = true, bare = true },
      { hashed = false, bare = true } } do
    local one, other = format.name(naming, a:sub(1, space_size), a:sub(space_size + 1)),
      format.name(naming, b:sub(1, space_size), b:sub(space_size + 1))
    if naming.bare then
      assert((one == other) == (a:sub(space_size + 1) == b:sub(space_size + 1)), "names without keyspaces")
    else
      assert((one == other) == (a == b), "two keys have one name")
    end
    -- The same bytes, with the keyspace and the key apart at another place.
    local shifted = format.name(naming, a:sub(1, space_size + 1), a:sub(space_size + 2))
    if not naming.bare and #a > space_size + 1 then assert(one ~= shifted, "two keys have one name") end
    if not naming.hashed and #a > space_size then
      local key = format.key_of(naming, one, {})
      local found_space, found_text = core.key_parts(key)
      assert(key == a:sub(space_size + 1) or found_space == a:sub(1, space_size)
        and found_text == a:sub(space_size + 1), "an entry's name leads to another key")
    end
  end
end

return function(text)
  local number, size = (text:byte() or 0) % #COLUMNS + 1, text:byte(2) or 0
  local a, b = text:sub(3, 2 + size), text:sub(3 + size)
  if size > 512 or #b > 512 then return end
  check_pair(number, key_of(a), key_of(b))
  check_pair(number, key_of(a), tostring(key_of(a)))
  check_decimal(a)
  check_decimal(b)
  check_names(a, b, number - 1)
end
