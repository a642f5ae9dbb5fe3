-- What a directory holds, written by who knows whom: the record, entries, names and users in a table KV
-- (lua/collegedb/kv_directory.lua), the rows of a directory that takes a statement at a time
-- (lua/collegedb/single_record.lua), and those of one in SQL: settings of added shards, the journal, placements.
-- Whatever they are, a call is answered or ends in an error with a code.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local decode = require "spec.fuzz.decode"
local directory = require "collegedb.directory"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local format = require "collegedb.kv_format"
local journal = require "collegedb.journal"
local kv_directory = require "collegedb.kv_directory"
local shards = require "collegedb.shards"
local single_record = require "collegedb.single_record"
local single_tables = require "collegedb.single_tables"

core.pause = function() end -- nobody else is there to be waited for

local function call(f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 1, results.n) end
  local err = results[2]
  if not errors.is_error(err) then error(type(err) == "string" and err or "raised: " .. tostring(err), 0) end
  assert(type(tostring(err)) == "string")
  return false
end

-- --- a table KV -----------------------------------------------------------------------------

-- A KV with `data`; after many calls it fails, so that nothing goes on for ever.
local function kv_of(data)
  local kv, calls = {}, 0
  local function count()
    calls = calls + 1
    if calls > 2000 then error "the KV is worn out" end
  end
  function kv.get(key)
    count()
    return data[key]
  end
  function kv.put(key, value)
    count()
    data[key] = value
  end
  function kv.delete(key)
    count()
    data[key] = nil
  end
  function kv.list(prefix)
    count()
    local names = {}
    for name in pairs(data) do
      if name:sub(1, #prefix) == prefix then names[#names + 1] = name end
    end
    table.sort(names)
    return names
  end
  function kv.compare_and_set(key, old, new)
    count()
    if data[key] ~= old then return false end
    data[key] = new
    return true
  end
  return kv
end

local short <const> = { R = "collegedb:record", K = "known_shards", U = "collegedb:users", T = "collegedb:turn:t" }

-- Lines of a name, `=` and a value; R, K, U, T and E… (an entry of the key …) are names for short.
local function data_of(text, naming)
  local data = {}
  for line in text:gmatch "[^\n]+" do
    local name, value = line:match "^([^=]*)=(.*)$"
    if name then
      local key = name:match "^E(.*)$"
      data[short[name] or (key and format.name(naming, "", key)) or name] = value
    end
  end
  return data
end

local function use_directory(dir)
  call(dir.counts, dir)
  call(dir.count_found, dir, 1)
  call(dir.keys_of, dir, "a")
  call(dir.names, dir)
  local id = dir.record.ids.a
  for _, keyspace in ipairs { "", "users" } do
    call(dir.lookup, dir, keyspace, "ada")
    if id then
      call(dir.claim, dir, keyspace, "ada", id, 1)
      call(dir.note, dir, keyspace, "bob", id, 1)
      call(dir.replace, dir, keyspace, "ada", 1, id)
    end
    call(dir.forget, dir, keyspace, "ada")
  end
  call(dir.add_names, dir, { "c" })
  call(dir.count_on, dir, "t", 1)
  if id then call(dir.discard, dir, id) end
  call(dir.discard, dir)
end

local function use_database(kv, options)
  local done, db = call(collegedb.open, { kv = kv, shards = { { name = "a", ":memory:" }, { name = "b", ":memory:" } },
    hash_shard_mappings = options.hash_shard_mappings, keyspaces = options.keyspaces, auto_migrate = true })
  if not done then return end
  call(db.ensure_schema, db, "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)")
  call(db.insert, db, "ada", "INSERT INTO users VALUES (?)", { "ada" })
  call(db.first, db, "bob", "SELECT * FROM users WHERE id = ?", { "bob" })
  call(db.locate, db, "ada")
  call(db.get_shard_stats, db)
  call(db.reassign_shard, db, "ada", "b", "users")
  call(db.list_known_shards, db)
  call(db.close, db)
end

local function check_kv(flags, text)
  local options = { hash_shard_mappings = flags & 1 == 0, keyspaces = flags & 2 == 0 }
  local naming = { hashed = options.hash_shard_mappings, bare = not options.keyspaces }
  if flags & 4 == 0 then
    local done, dir = call(kv_directory.open, kv_of(data_of(text, naming)), nil, options)
    if done then
      use_directory(dir)
      dir:close()
    end
  else
    use_database(kv_of(data_of(text, naming)), options)
  end
end

-- --- rows ---------------------------------------------------------------------------------------

local function constants()
  local list = { decode.NIL, 0, 1, 2, 3, -1, 0.5, 1e300, 1 / 0, -1 / 0, 1e-310, 2 ^ 53, math.maxinteger,
    math.mininteger,
    "", "a", "b", "hash", "claims", "\0", "\xff", "epoch", "version", "identity", "format", "secret", "move", "bare",
    "turn:t", "void:a", "1", "1.5", "{}", "[]", "null", '{"path":"a.db"}', core.blob "", core.blob "\0\xff", true,
    false }
  return list
end

-- Rows of one of the tables each: its number, and the columns' values.
local function rows_of(value)
  local rows = {}
  for _, given in ipairs(type(value) == "table" and value or {}) do
    if type(given) == "table" then
      local row = { t = (math.tointeger(given[1]) or 0) % #single_tables.names + 1 }
      for i = 2, 10 do row[("abcdefghi"):sub(i - 1, i - 1)] = given[i] end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function plain(row)
  for _, value in pairs(row) do
    if type(value) == "table" or type(value) == "boolean" or type(value) == "userdata" then return false end
  end
  return true
end

local function check_single(text)
  local rows = rows_of(decode.value(constants(), text))
  for _, row in ipairs(rows) do
    if not plain(row) then return end
  end
  local record = single_record.new { name = "d", all = function(_, sql)
    return sql:find("IN ('version', 'identity')", 1, true) and { { name = "version", value = #rows } } or rows
  end }
  local read = pcall(record.refresh, record)
  call(record.refresh, record)
  if not read then return record:close() end
  call(record.try, record, function(tx)
    tx:run "UPDATE _collegedb_shards SET integrated = 1"
    return true
  end, nil, function() return true end)
  record:close()
end

local function insert(dir, row)
  local name = single_tables.names[row.t]
  local columns, values = single_tables.columns[name], {}
  for i in ipairs(columns) do
    local value = row[("abcdefghi"):sub(i, i)]
    values[i] = value == nil and core.null or value
  end
  pcall(dir.shard.run, dir.shard, ("INSERT OR REPLACE INTO _collegedb_%s (%s) VALUES (%s)"):format(name,
    table.concat(columns, ", "), ("?, "):rep(#columns - 1) .. "?"), values)
end

-- A directory in memory whose tables have these rows.
local function check_tables(text)
  local dir = directory.open("memory:")
  for _, row in ipairs(rows_of(decode.value(constants(), text))) do insert(dir, row) end
  local configured = {}
  for row in dir.shard:each "SELECT id, name FROM _collegedb_shards ORDER BY id LIMIT 2" do
    configured[#configured + 1] = { id = row.id, name = row.name, weight = 1, allocate = true,
      is_empty = function() return true end }
  end
  call(dir.lookup, dir, "", "ada")
  call(dir.claim, dir, "", "ada", 1, 1)
  call(epochs.read, dir, configured)
  call(epochs.differs, dir.shard, configured, "hash")
  call(epochs.reconcile, dir, configured, "hash", function() end, function() end)
  call(shards.added, dir)
  dir:close()
end

local function check_settings(text)
  local dir = directory.open("memory:")
  dir.shard:run("INSERT INTO _collegedb_shards (name, settings) VALUES ('c', ?)", { text })
  call(shards.added, dir)
  dir:close()
end

local function check_journal(text)
  local dir = directory.open("memory:")
  dir.keeps_journal = true
  dir.shard:run([[INSERT INTO _collegedb_jobs (workflow, subject, signature, step, state)
    VALUES ('integrate', 1, 's', 'plan', ?)]], { text })
  local done, job = call(journal.claim, dir, "integrate", 1)
  if done and job then
    call(job.read, job)
    job:release()
  end
  dir:close()
end

local kinds = { function(text) check_single(text) end, check_tables, check_settings, check_journal }

return function(text)
  local flags, rest = text:byte() or 0, text:sub(2)
  local check = kinds[flags % 16 - 7]
  if check then check(rest) else check_kv(flags, rest) end
end
