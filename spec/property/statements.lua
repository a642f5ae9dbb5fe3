-- The statements of model.lua as SQL, the keys they are routed by, and the tables.

local collegedb = require "collegedb"

local statements = {}

local SCHEMA <const> = [[
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY $C, n INTEGER NOT NULL DEFAULT 0, v);
CREATE TABLE IF NOT EXISTS settings (id TEXT PRIMARY KEY $C, v);
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY,
  user_id TEXT NOT NULL $C REFERENCES users ON DELETE CASCADE, v);
CREATE INDEX IF NOT EXISTS orders_user ON orders (user_id);
CREATE TABLE IF NOT EXISTS items (order_id INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE, line INTEGER, v,
  PRIMARY KEY (order_id, line));
CREATE TABLE IF NOT EXISTS counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0, v);]]

-- What is added while programs run; `of` the tables that can be used only then. Each is done once.
local CHANGES <const> = {
  { of = "notes", sql = [[CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY $C,
      user_id TEXT NOT NULL $C REFERENCES users ON DELETE CASCADE, v);
    CREATE INDEX IF NOT EXISTS notes_user ON notes (user_id);]] },
  { of = "tags", sql = "CREATE TABLE IF NOT EXISTS tags (id INTEGER PRIMARY KEY, v)" },
  { sql = "ALTER TABLE users ADD COLUMN more TEXT DEFAULT 'x'" },
  { sql = "ALTER TABLE orders ADD COLUMN more INTEGER" },
  { sql = "CREATE INDEX IF NOT EXISTS settings_v ON settings (v)" },
  { sql = "CREATE VIEW IF NOT EXISTS busy AS SELECT user_id, count(*) AS n FROM orders GROUP BY user_id" },
}
statements.changes = CHANGES

local function collated(setup, sql) return (sql:gsub("%$C", setup.nocase and "COLLATE NOCASE" or "")) end

function statements.schema(setup) return collated(setup, SCHEMA) end
function statements.change(setup, n) return collated(setup, CHANGES[n].sql) end

---@param v any a value as plain data
function statements.bind(v)
  if type(v) ~= "table" then return v end
  return v.null and collegedb.null or collegedb.blob(v.blob)
end

-- --- SQL ------------------------------------------------------------------------------------------

local INSERT <const> = { insert = "INSERT", ignore = "INSERT OR IGNORE", replace = "INSERT OR REPLACE",
  upsert = "INSERT" }
local INSIDE <const> = { orders = true, notes = true }
local COLUMNS <const> = { users = "id, n, v", counters = "id, n, v", settings = "id, v", tags = "id, v",
  orders = "id, user_id, v", notes = "id, user_id, v", items = "order_id, line, v" }

-- What finds the row, and its parameters; of the user's alone where the statement names one.
local function where(st)
  if st[2] == "items" then return "order_id = ? AND line = ?", { st.id, st.line } end
  if INSIDE[st[2]] and st.u and st[1] ~= "put" then return "id = ? AND user_id = ?", { st.id, st.u } end
  return "id = ?", { st.id }
end

local say = {}

function say.put(st)
  local values, columns = { st.id }, "id"
  if st[2] == "items" then values, columns = { st.id, st.line }, "order_id, line" end
  if INSIDE[st[2]] then values, columns = { st.id, st.u }, "id, user_id" end
  values[#values + 1] = statements.bind(st.v)
  local sql = ("%s INTO %s (%s, v) VALUES (%s?)"):format(INSERT[st.mode], st[2], columns, ("?, "):rep(#values - 1))
  if st.mode == "upsert" then
    sql = sql .. (" ON CONFLICT (%s) DO UPDATE SET v = excluded.v"):format(st[2] == "items" and columns or "id")
  end
  return sql, values
end

function say.set(st)
  local condition, values = where(st)
  table.insert(values, 1, statements.bind(st.v))
  return ("UPDATE %s SET v = ? WHERE %s"):format(st[2], condition), values
end

function say.add(st) return ("UPDATE %s SET n = n + 1 WHERE id = ?"):format(st[2]), { st.id } end

function say.drop(st)
  local condition, values = where(st)
  return ("DELETE FROM %s WHERE %s"):format(st[2], condition), values
end

function say.get(st)
  local condition, values = where(st)
  return ("SELECT %s, typeof(v) AS t FROM %s WHERE %s"):format(COLUMNS[st[2]], st[2], condition), values
end

function say.list(st)
  local sql = ("SELECT %s, typeof(v) AS t FROM %s"):format(COLUMNS[st[2]], st[2])
  if st[2] == "items" then
    if st.id then return sql .. " WHERE order_id = ? ORDER BY line", { st.id } end
    return sql .. " WHERE order_id IN (SELECT id FROM orders WHERE user_id = ?) ORDER BY order_id, line", { st.u }
  end
  return sql .. " WHERE user_id = ? ORDER BY " .. (st[2] == "notes" and "hex(id)" or "id"), { st.u }
end

---@return string sql, any[] params
function statements.sql(st)
  local sql, params = say[st[1]](st)
  return st.ret and sql .. " RETURNING v" or sql, params
end

---SQL of all rows of a table, for a look past the router.
function statements.everything(name) return ("SELECT %s, typeof(v) AS t FROM %s"):format(COLUMNS[name], name) end

-- --- keys -----------------------------------------------------------------------------------------

local NUMBERED <const> = { orders = true, items = true, counters = true, tags = true }

---The key of a call.
---@param by { [1]: string, [2]: any, as: string? } table and id; `as` a "key", "string" or "float", where that is one
---@param st table? the first statement, which types a bare key
function statements.key(db, by, st)
  local id = by[2]
  if math.type(id) == "integer" then
    if by.as == "key" or not st then return db:key(by[1], id) end
    if by.as == "string" then return tostring(id) end
    if by.as == "float" and math.tointeger(id + 0.0) == id and math.abs(id) < 1 << 53 then return id + 0.0 end
    return id
  end
  -- In a statement on a table with integer keys a number would be such a key.
  local number = st and NUMBERED[st[2]] and tonumber(id)
  if by.as == "key" or number then return db:key(by[1], id) end
  return id
end

return statements
