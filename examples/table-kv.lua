-- A table KV: the directory in a store of your own. Here that is one table of a SQLite file; a client of your
-- key-value server would have the same five functions. docs/table-kv.md says what each must promise.
--
--   collegedb examples/table-kv.lua [FOLDER]     its files are made in FOLDER, or here

local collegedb = require "collegedb"

local folder = arg[1] or "."

-- The functions are called without self. What they raise reaches the caller as UNAVAILABLE.
local function sqlite_kv(path)
  local store = collegedb.open { kv = "memory:", shards = { { name = "kv", path } }, auto_migrate = false }
  local file = store:shard "kv"
  file:exec "CREATE TABLE IF NOT EXISTS kv (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
  local kv = {}

  function kv.get(key)
    local row = file:first("SELECT value FROM kv WHERE name = ?", { key })
    return row and row.value
  end

  function kv.put(key, value)
    file:run("INSERT INTO kv VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", { key, value })
  end

  function kv.delete(key) file:run("DELETE FROM kv WHERE name = ?", { key }) end

  -- A page of names that begin with the prefix, and where the next one begins: nil behind the last.
  function kv.list(prefix, cursor, limit)
    local names = {}
    for row in file:each([[SELECT name FROM kv WHERE substr(name, 1, length(?1)) = ?1 AND name > ?2
      ORDER BY name LIMIT ?3]], { prefix, cursor or "", limit }) do
      names[#names + 1] = row.name
    end
    return names, names[limit]
  end

  -- Look and writing are one step: of two programs that do this at once, one gets false.
  function kv.compare_and_set(key, old, new)
    local result
    if old == nil then
      result = file:run("INSERT INTO kv VALUES (?, ?) ON CONFLICT DO NOTHING", { key, new })
    else
      result = file:run("UPDATE kv SET value = ?3 WHERE name = ?1 AND value = ?2", { key, old, new })
    end
    return result.meta.changes == 1
  end

  return kv, store
end

local kv, _ <close> = sqlite_kv(folder .. "/kv.db")

local config = {
  kv = kv,
  shards = { { name = "north", folder .. "/north.db" }, { name = "south", folder .. "/south.db" } },
  strategy = "random",
}

-- As two programs would: both insert the same people, and each person is on one shard.
local one <close> = collegedb.open(config)
local two <close> = collegedb.open(config)
one:ensure_schema "CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY, visits INTEGER)"

local visit = "INSERT INTO people VALUES (?, 1) ON CONFLICT DO UPDATE SET visits = visits + 1"
for _, name in ipairs { "Ada", "Ben", "Cleo", "Dan" } do
  one:insert(name, visit, { name })
  two:insert(name, visit, { name })
  local person = assert(two:first(name, "SELECT visits FROM people WHERE name = ?", { name }))
  print(("%-4s  %d visits, on %s"):format(name, person.visits, (one:locate(name))))
end

local names = kv.list("shard:", nil, 1)
print("an entry", names[1], kv.get(names[1]))
print("shards", kv.get "known_shards")
