-- Table KVs for specs: over a Lua table, and over a SQLite file that several processes share.

local table_kv = {}

---A KV over a Lua table, which it has as `data`. Before each call it calls kv.on(name, key, …), if there is one: a
---fault to inject, or what another program does in that moment. `atomic` false leaves out compare_and_set.
function table_kv.memory(data, atomic)
  data = data or {}
  local kv, watching = { data = data, calls = 0 }, true
  local function on(...)
    kv.calls = kv.calls + 1
    local f = kv.on
    if not (f and watching) then return end
    watching = false -- what is done in it is not watched
    local results = table.pack(pcall(f, ...))
    watching = true
    if not results[1] then error(results[2], 0) end
  end
  function kv.get(key)
    on("get", key)
    return data[key]
  end
  function kv.put(key, value)
    on("put", key, value)
    data[key] = value
  end
  function kv.delete(key)
    on("delete", key)
    data[key] = nil
  end
  -- Its cursor is a position, so that a name is passed over when one before it is deleted meanwhile.
  function kv.list(prefix, cursor, limit)
    on("list", prefix)
    limit = math.min(limit, kv.page or limit)
    local names, at = {}, tonumber(cursor or 0)
    for name in pairs(data) do
      if name:sub(1, #prefix) == prefix then names[#names + 1] = name end
    end
    table.sort(names)
    local page = table.move(names, at + 1, math.min(at + limit, #names), 1, {})
    return page, at + limit < #names and tostring(at + limit) or nil
  end
  if atomic == false then return kv end
  function kv.compare_and_set(key, old, new)
    on("compare_and_set", key, new)
    if data[key] ~= old then return false end
    data[key] = new
    return true
  end
  return kv
end

---A KV over the table kv of a SQLite file, and what closes it.
function table_kv.file(path)
  local core = require "collegedb.core"
  local file = core.sqlite(path, { name = "kv", busy_timeout_ms = 30000 })
  file:exec "CREATE TABLE IF NOT EXISTS kv (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"
  local kv = {}
  function kv.get(key)
    local row = file:first("SELECT value FROM kv WHERE name = ?", { key })
    return row and row.value
  end
  function kv.put(key, value) file:run("INSERT OR REPLACE INTO kv VALUES (?, ?)", { key, value }) end
  function kv.delete(key) file:run("DELETE FROM kv WHERE name = ?", { key }) end
  function kv.list(prefix, cursor, limit)
    local names = {}
    for row in file:each([[SELECT name FROM kv WHERE substr(name, 1, length(?1)) = ?1 AND name > ?2 ORDER BY name
      LIMIT ?3]], { prefix, cursor or "", limit }) do
      names[#names + 1] = row.name
    end
    return names, names[limit]
  end
  function kv.compare_and_set(key, old, new)
    local result
    if old == nil then
      result = file:run("INSERT INTO kv VALUES (?, ?) ON CONFLICT DO NOTHING", { key, new })
    else
      result = file:run("UPDATE kv SET value = ?2 WHERE name = ?1 AND value = ?3", { key, new, old })
    end
    return result.meta.changes == 1
  end
  return kv, function() core.close(file) end
end

return table_kv
