--- Transactions and batches, on a shard, inside another transaction, and
-- routed by a key. What begins and ends a transaction, core.transact, is in src/bind/shard.c.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local moved = require "collegedb.moved"

local transaction = {}

local function check_function(f)
  if type(f) ~= "function" then
    errors.raise("USAGE", nil, "a transaction takes a function (tx), not a %s", type(f))
  end
end

--- Runs `f(tx)` on the shard: committed when it returns, rolled back when it
-- raises. It begins IMMEDIATE and is never run twice.
---@param target userdata a shard, or a tx (then a savepoint)
---@param f fun(tx): any
---@param key string? the key hash it was routed by, for check_keys
---@param guard fun(tx)? is called first
local function run(target, f, key, guard)
  check_function(f)
  if not guard then return core.transact(target, key, f) end
  return core.transact(target, key, function(tx)
    guard(tx)
    return f(tx)
  end)
end

local function check_statements(statements)
  if type(statements) ~= "table" then
    errors.raise("USAGE", nil, "a batch takes an array of { sql, params }, not a %s", type(statements))
  end
  for i in next, statements do
    if math.type(i) ~= "integer" or i < 1 or i > rawlen(statements) then
      errors.raise("USAGE", nil, "a batch takes an array of { sql, params }, and has the field %s", tostring(i))
    end
  end
  for i = 1, rawlen(statements) do
    local each = statements[i]
    if type(each) ~= "table" or type(each[1]) ~= "string" then
      errors.raise("USAGE", nil, "statement %d of the batch is no { sql, params }", i)
    end
  end
end

-- Raises what went wrong: Ctrl-C before all else, then what is wrong with the caller's statements. What the answer to a
-- look of ours lacks does no harm by then.
local function check_done(results, failed, first, last)
  for i = 1, last do
    if failed[i] and not errors.is_error(failed[i]) then error(failed[i], 0) end
  end
  local is_of_one = first == last or not failed[first] or not failed[last]
  for i = first, last do
    local err = failed[i]
    if err and not is_of_one then err.sql = nil end -- nobody knows which one it was
    if err then error(err, 0) end
  end
  if not results[first] then error(failed[1], 0) end -- the look could not be begun
end

-- All or none, in one request; the first `look` are not the caller's.
local function send_batch(shard, statements, look)
  local calls, inner = {}, core.inner(shard)
  for i, each in ipairs(look) do calls[i] = { inner, each[1], each[2] } end
  for i, each in ipairs(statements) do calls[#look + i] = { shard, each[1], each[2] } end
  local results, failed = core.together(calls, "batch")
  check_done(results, failed, #look + 1, #calls)
  return table.move(results, #look + 1, #calls, 1, {})
end

local function run_batch(shard, statements, key, guard)
  return run(shard, function(tx)
    local results = {}
    for i, each in ipairs(statements) do results[i] = tx:run(each[1], each[2]) end
    return results
  end, key, guard)
end

--- shard:transaction(f), tx:transaction(f) and shard:batch(statements).
function core.shard_methods:transaction(f) return run(self, f) end
function core.tx_methods:transaction(f) return run(self, f) end

function core.shard_methods:batch(statements)
  check_statements(statements)
  if not core.has_batches(self) then return run_batch(self, statements) end
  return rawlen(statements) > 0 and send_batch(self, statements, {}) or {}
end

--- db:transaction(key, f). An integer key is written db:key(table, id), because no statement names the table.
function transaction.routed(db, key, f)
  check_function(f)
  return moved.transaction(db, key, nil, true, function(shard, hash, guard) return run(shard, f, hash, guard) end)
end

--- db:batch(key, statements): all or nothing, on the key's shard. The first statement's table types the key.
function transaction.batch(db, key, statements)
  check_statements(statements)
  if rawlen(statements) == 0 then return {} end
  local inserts = false
  for _, each in ipairs(statements) do inserts = inserts or core.scan(each[1]).kind == "insert" end
  return moved.transaction(db, key, statements[1][1], inserts, function(shard, hash, guard)
    if not core.has_batches(shard) then return run_batch(shard, statements, hash, guard) end
    return moved.guarded_batch(shard, guard, function(look) return send_batch(shard, statements, look) end)
  end)
end

return transaction
