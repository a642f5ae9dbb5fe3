-- Looks into the files with nothing of CollegeDB: LuaSQL, and what writers have noted. Each row is there once, with the
-- last value that was acknowledged; each group is whole; nothing of a move is left.

local ledger = require "spec.campaign.ledger"
local luasql = require "luasql.sqlite3"

local checker = {}

local function rows_of(connection, sql)
  local cursor, err = connection:execute(sql)
  if not cursor then error(err, 0) end
  local list = {}
  local row = cursor:fetch({}, "a")
  while row do
    list[#list + 1] = row
    row = cursor:fetch({}, "a")
  end
  return list
end

-- The value of a row as the ledger writes it.
local tables = {
  users = { sql = "SELECT id AS id, n AS value FROM users" },
  orders = { sql = "SELECT id AS id, user_id || '/' || n AS value FROM orders" },
  items = { sql = "SELECT order_id || '.' || line AS id, n AS value FROM items" },
}

local STRAY = {
  ["an order without its user"] = "SELECT id AS id FROM orders WHERE user_id NOT IN (SELECT id FROM users)",
  ["an item without its order"] = "SELECT order_id AS id FROM items WHERE order_id NOT IN (SELECT id FROM orders)",
}

local function check_rows(connection, shard, found, wrong)
  if #rows_of(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'items'") == 0 then return end -- just added
  for name, each in pairs(tables) do
    for _, row in ipairs(rows_of(connection, each.sql)) do
      local id = name .. ":" .. row.id
      if found[id] then wrong("doubled", "%s is on %s and on %s", id, found[id].shard, shard) end
      found[id] = { shard = shard, value = tostring(row.value) }
    end
  end
  for what, sql in pairs(STRAY) do
    for _, row in ipairs(rows_of(connection, sql)) do wrong("torn", "%s on %s: %s", what, shard, row.id) end
  end
end

local function check_leftovers(connection, shard, wrong)
  for _, row in ipairs(rows_of(connection, "SELECT name FROM sqlite_schema WHERE type = 'table' "
      .. "AND name LIKE '\\_collegedb\\_stage\\_%' ESCAPE '\\'")) do
    local n = rows_of(connection, ('SELECT count(*) AS n FROM "%s"'):format(row.name))[1].n
    if n > 0 then wrong("left", "%d rows in %s of %s", n, row.name, shard) end
  end
  if #rows_of(connection, "SELECT 1 FROM sqlite_schema WHERE name = '_collegedb_own'") == 0 then return end
  for _, row in ipairs(rows_of(connection, "SELECT key, state FROM _collegedb_own "
      .. "WHERE state IN ('sending', 'sent', 'receiving')")) do
    wrong("left", "%s is %s on %s", row.key, row.state, shard)
  end
  for _, row in ipairs(rows_of(connection, "SELECT move FROM _collegedb_open")) do
    wrong("left", "move %d is open on %s", row.move, shard)
  end
end

local function check_file(connection, name, wrong)
  for _, row in ipairs(rows_of(connection, "PRAGMA integrity_check")) do
    if row.integrity_check ~= "ok" then wrong("corrupt", "%s: %s", name, row.integrity_check) end
  end
end

local function check_counter(name, row, there, wrong)
  local value = there and math.tointeger(tonumber(there.value))
  if not there and not row.sure then return end -- what makes it was never acknowledged
  if not value or value < row.low then
    wrong("lost", "%s is %s, and %d additions were acknowledged", name, value or "gone", row.low)
  elseif value > row.high then
    wrong("doubled", "%s is %d, and %d additions were sent", name, value, row.high)
  end
end

local function check_value(name, row, there, wrong)
  local value = there and there.value or "-"
  if row.possible[value] then return end
  local wanted = {}
  for each in pairs(row.possible) do wanted[#wanted + 1] = each end
  wrong(value == "-" and "lost" or "wrong", "%s is %s on %s, not %s", name, value, there and there.shard or "no shard",
    table.concat(wanted, " or "))
end

-- Of a write that nobody answered, all or nothing is there.
local function check_open(known, found, open, wrong)
  local after, before
  for name, value in pairs(open.after) do
    local row, old = known.rows[name], open.before[name]
    if row.writes ~= open.writes[name] or not old or old == value then return end
    if (found[name] and found[name].value or "-") == value then after = name else before = name end
  end
  if after and before then wrong("torn", "a write that changed %s did not change %s", after, before) end
end

local function compare(known, found, wrong)
  for name, row in pairs(known.rows) do
    if row.counts then check_counter(name, row, found[name], wrong)
    else check_value(name, row, found[name], wrong) end
  end
  for name, there in pairs(found) do
    if not known.rows[name] then wrong("doubled", "%s on %s was never written", name, there.shard) end
  end
  for _, open in ipairs(known.open) do check_open(known, found, open, wrong) end
end

---@param files table<string, string> the shards, name → path
---@param directory string
---@param ledgers string[] paths
---@return { acknowledged: integer, rows: integer, wrong: string[], kinds: table<string, integer>, found: table, known:
---  table } found: what is there, by "table:row"; known: what the ledgers say
function checker.check(files, directory, ledgers)
  local report = { wrong = {}, kinds = {}, rows = 0 }
  local function wrong(kind, format, ...)
    report.kinds[kind] = (report.kinds[kind] or 0) + 1
    table.insert(report.wrong, kind .. ": " .. format:format(...))
  end
  local known, found = ledger.read(ledgers), {}
  local environment = luasql.sqlite3()
  for name, path in pairs(files) do
    local connection = assert(environment:connect(path))
    check_file(connection, name, wrong)
    check_rows(connection, name, found, wrong)
    check_leftovers(connection, name, wrong)
    connection:close()
  end
  local connection = assert(environment:connect(directory))
  check_file(connection, "the directory", wrong)
  local moves = rows_of(connection, "SELECT count(*) AS n FROM _collegedb_moves")[1].n
  if moves > 0 then wrong("left", "%d moves in the journal", moves) end
  connection:close()
  environment:close()
  compare(known, found, wrong)
  for _ in pairs(found) do report.rows = report.rows + 1 end
  report.acknowledged, report.found, report.known = known.acknowledged, found, known.rows
  return report
end

-- --- failures ------------------------------------------------------------------------------

local Failure = {}
Failure.__index = Failure
function Failure:__tostring() return table.concat(self.wrong, "; ") end

---What is raised when the files are not right.
function checker.failure(report) return setmetatable(report, Failure) end

---Adds a failure, the checker's or another, to what was counted.
---@param counts { failed: string[], kinds: table<string, integer> }
function checker.count_failure(counts, where, err)
  table.insert(counts.failed, where .. ": " .. tostring(err))
  for kind, n in pairs(getmetatable(err) == Failure and err.kinds or { broken = 1 }) do
    counts.kinds[kind] = (counts.kinds[kind] or 0) + n
  end
end

return checker
