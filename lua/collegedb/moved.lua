--- Statements that came to a shard which their key has left, or has not reached: they are run where the key
-- is now. A write is refused by the fence before; a read, or a write that changed nothing, looks after itself.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local forward = require "collegedb.forward"
local group = require "collegedb.group"
local patience = require "collegedb.patience"
local probe = require "collegedb.probe"
local recovery = require "collegedb.recovery"
local seals = require "collegedb.seals"

local moved = {}

-- A look at the own row, inside a transaction: no move of the key goes a step further here until that ends.
local LEFT = {}

local function is_here(own) return not own or own.state == "active" or own.state == "sending" end

-- Nothing has happened to the key between two looks at its own row.
local function is_same(own, later)
  if not own or not later then return own == later end
  return own.state == later.state and own.move == later.move and own.floor == later.floor
end

local function guard(keyspace, text)
  return function(tx)
    if not tx then return keyspace, text end
    local inner = core.inner(core.base(tx)) -- in the same transaction, but none of the user's statements
    if not is_here(fence.own_row(inner, keyspace, text)) then error(LEFT, 0) end
  end
end

-- A move of a small group takes some commits: who waits looks often, and at last four times a second.
local function new_patience(state) return patience.new(state.config.move_deadline, 0.1, 1.3) end

-- Where the router says that the key is, and from there on the own rows.
local function look_up(state, db, key, sql, kind, space, text)
  local keyspace = select(2, catalog.untag(space))
  core.forget(db, space, text)
  local index = select(3, core.route(db, key, sql, kind == "insert"))
  return index, forward.follow(state, index, keyspace, text)
end

-- Where the key is: by all that the router knows now, and from there on by the own rows. Not by those alone, from
-- where it was: they may lead to where it would have gone by a placement that is no more.
---@param kind "select"|"insert"|string what is to be done there
local function place(state, db, key, sql, kind, space, text)
  local tag, keyspace = catalog.untag(space)
  local index, at, told, void = look_up(state, db, key, sql, kind, space, text)
  local function is_elsewhere()
    return kind == "insert" and told and at ~= index and not probe.has_rows(state, at, tag, keyspace, text)
  end
  if is_elsewhere() then -- by a committed move, it may be, whose program died before the directory was told
    recovery.complete(state, index, keyspace, text)
    index, at, told, void = look_up(state, db, key, sql, kind, space, text)
  end
  -- Without rows there it comes back: the own rows may go, and nobody would find it elsewhere then.
  if is_elsewhere() then
    forward.send_ahead(state, at, index, keyspace, text)
    void = select(3, forward.follow(state, index, keyspace, text))
    at, told = index, false -- where it is sent by then is decided anew, after it is refused here
  end
  if void then forward.revive(state, void, keyspace, text) end -- or who reads nothing would wait for a move to end
  if told then core.remember(db, space, text, at) end
  return at
end

local GRACE <const> = 5 -- ms in which a mover that lives goes on by itself

-- On its way: the fence would refuse a write, or the mover is about to bring the key in at the other shard. To try at
-- once would take the lock that the mover needs.
local function is_under_way(state, index, keyspace, text, write, waiting)
  local own = fence.own_row(state.shards[index].inner, keyspace, text)
  if not own or own.state ~= "sent" then return write and own ~= nil and own.state == "sending" end
  local peer = state.by_name[own.peer]
  local there = peer and waiting:waited() < GRACE and fence.own_row(state.shards[peer].inner, keyspace, text)
  return there and there.state == "receiving"
end

-- A write was done at the new place: nobody may find the old rows any more. A mover that lives clears them about now;
-- what a dead one left is brought to its end.
local function see_cleared(state, index, keyspace, text)
  local waiting = patience.new(GRACE / 1000, 0.1, 1.3)
  repeat
    local own = fence.own_row(state.shards[index].inner, keyspace, text)
    if not own or own.state ~= "sent" then return end
  until not waiting:wait()
  recovery.complete(state, index, keyspace, text)
end

-- What `first` and `all` give of the result of `run`.
local function as(method, result)
  if method == "run" then return result end
  return method == "first" and result.results[1] or method == "all" and result.results or nil
end

-- Where each statement is one by itself: the own row is looked at before, and after what might have come too late. A
-- write that changed something was let through by the fence.
local function run_single(shard, method, sql, params, is_read, keyspace, text)
  local before = fence.own_row(shard.inner, keyspace, text)
  if not is_here(before) then error(LEFT, 0) end
  local result = shard.handle:run(sql, params)
  if not is_read and result.meta.changes > 0 then return as(method, result) end
  if not is_same(before, fence.own_row(shard.inner, keyspace, text)) then error(LEFT, 0) end
  return as(method, result)
end

-- Runs a statement on a shard which the key has not left by then.
local function run_there(shard, method, sql, params, is_read, keyspace, text)
  if shard.single then return run_single(shard, method, sql, params, is_read, keyspace, text) end
  return shard.handle:transaction(function(tx)
    guard(keyspace, text)(tx)
    return tx[method](tx, sql, params)
  end)
end

-- Runs a statement at the key's shard, again while the fence refuses it or the key goes.
local function run_at_owner(state, db, method, key, sql, params, index)
  local space, text = core.key_of(db, key, sql)
  local keyspace, kind = select(2, catalog.untag(space)), core.scan(sql).kind
  local waiting, left = new_patience(state), index
  repeat
    if not is_under_way(state, index, keyspace, text, kind ~= "select", waiting) then
      index = place(state, db, key, sql, kind, space, text)
      local done, result = pcall(run_there, state.shards[index], method, sql, params, kind == "select", keyspace, text)
      if done and kind ~= "select" then see_cleared(state, left, keyspace, text) end
      if done then return result end
      if result ~= LEFT and not errors.is_error(result, "MOVED") then error(result, 0) end
    end
    if waiting:is_long() then recovery.settle(state, index, keyspace, text) end -- the mover may be dead
  until not waiting:wait()
  recovery.raise_moving(state, state.shards[index], text)
end

-- Whether a shard was closed without a word, and what it says of a key. Where no key has left by now, C is told, which
-- learns when the schema changes; but not of a shard where nobody tells.
local function look_at(state, db, index, keyspace, text)
  local shard = state.shards[index]
  local sealed, own = seals.look(shard, keyspace, text)
  if not sealed and not own and not shard.single and not fence.is_up(shard.inner) then core.no_fence(db, index) end
  return sealed, own
end

-- A loop can not be begun again elsewhere once it gives rows: its shard is looked for before.
local function where(state, db, key, sql, index)
  local space, text = core.key_of(db, key, sql)
  local keyspace = select(2, catalog.untag(space))
  local sealed, own = look_at(state, db, index, keyspace, text)
  if sealed then return place(state, db, key, sql, false, space, text) end
  if not own then return index end
  local at, told = forward.follow(state, index, keyspace, text)
  if told then core.remember(db, space, text, at) end
  return told and at or index
end

-- --- strict reads ---------------------------------------------------------------------

local ANCHOR <const> = "SELECT count(*) AS up FROM sqlite_schema WHERE name = '_collegedb_own'"

-- Holds a read transaction of the shard open, in which all reads of the connection see one state; and whether there is
-- a fence in it.
local function anchor(shard)
  local step, cursor = shard.inner:each(ANCHOR)
  local done, row = pcall(step, cursor)
  if done then return cursor, row.up > 0 end
  local _ <close> = cursor
  error(row, 0)
end

local function own_row(state, index, keyspace, text)
  return fence.own_row(state.shards[index].inner, keyspace, text)
end

-- What tells whether a key has left the shard: its own row, and that of the group of a row that has it as its own key.
local function looks_of(state, index, keyspace, text)
  local list = { { keyspace = keyspace, text = text, own = own_row(state, index, keyspace, text) } }
  local root_space, root = group.of_row(state, index, keyspace, text)
  if root and is_here(list[1].own) then
    list[2] = { keyspace = root_space, text = root, own = own_row(state, index, root_space, root) }
  end
  return list
end

-- The one of the looks that says so.
local function departed(looks)
  for _, look in ipairs(looks) do
    if not is_here(look.own) then return look end
  end
end

local function read(handle, method, sql, params, held)
  if method ~= "each" then
    local _ <close> = held
    return handle[method](handle, sql, params)
  end
  local results = table.pack(pcall(handle.each, handle, sql, params))
  if not results[1] then
    local _ <close> = held
    error(results[2], 0)
  end
  core.hold(results[5], held)
  return { table.unpack(results, 2, 5) }
end

-- A row may have been remembered by its own key, and have gone with its group.
local function met_nothing(method, result)
  if method == "run" then result = result.results end
  return method ~= "each" and (result == nil or (method ~= "first" and #result == 0))
end

local function look_up_anew(db, key, sql, space, text)
  core.forget(db, space, text)
  return select(3, core.route(db, key, sql, false))
end

-- The rows of a loop that were read at once, as the four values of a loop.
local function loop_over(rows)
  local at = 0
  return { function()
    at = at + 1
    return rows[at]
  end }
end

-- Reads in the snapshot of a shard in which the key has not left it.
---@return table? gone who has
---@return any result
local function read_in_snapshot(state, db, index, method, sql, params, keyspace, text)
  local held, up = anchor(state.shards[index])
  local looked, looks = pcall(looks_of, state, index, keyspace, text)
  local gone = looked and departed(looks)
  if looked and not gone then
    if not up then core.no_fence(db, index) end
    return nil, read(state.shards[index].handle, method, sql, params, held)
  end
  local _ <close> = held
  if not looked then error(looks, 0) end
  return gone
end

-- Where no snapshot serves two statements: the key was there when it was read if nothing happened to it from the look
-- before to the look after. A loop is over rows that were all read by then.
local function read_between(state, index, method, sql, params, keyspace, text)
  local shard, looks = state.shards[index], looks_of(state, index, keyspace, text)
  local gone = departed(looks)
  if gone then return gone end
  local result = shard.handle[method == "each" and "all" or method](shard.handle, sql, params)
  for _, look in ipairs(looks) do
    local now = own_row(state, index, look.keyspace, look.text)
    if not is_same(look.own, now) then return { keyspace = look.keyspace, text = look.text, own = now } end
  end
  return nil, method == "each" and loop_over(result) or result
end

-- Where to read instead, of a key that has left.
local function after(state, db, index, key, sql, space, text, gone)
  if is_here(gone.own) then return index end
  if gone.keyspace == select(2, catalog.untag(space)) and gone.text == text then
    return place(state, db, key, sql, "select", space, text)
  end
  return (forward.follow(state, index, gone.keyspace, gone.text))
end

local LONG <const> = 100 -- ms, after which a mover is helped that has committed: it may be dead

local function run_strict(state, db, method, key, sql, params, index)
  local space, text = core.key_of(db, key, sql)
  local keyspace, waiting, again = select(2, catalog.untag(space)), new_patience(state), nil
  repeat
    local gone, result
    local first = false -- look for what was not met: nothing is known to move, so it is read again at once
    if state.shards[index].single then
      gone, result = read_between(state, index, method, sql, params, keyspace, text)
    else
      gone, result = read_in_snapshot(state, db, index, method, sql, params, keyspace, text)
    end
    if gone then
      if waiting:waited() >= LONG then recovery.complete(state, index, gone.keyspace, gone.text) end
      index = after(state, db, index, key, sql, space, text, gone)
    else
      if again == index or not met_nothing(method, result) then return result end
      first = again == nil
      again = look_up_anew(db, key, sql, space, text) -- what left and came back is there only now
      index = again
    end
  until not first and not waiting:wait()
  recovery.raise_moving(state, state.shards[index], text)
end

--- Called from src/bind/route.c.
---@param method "first"|"all"|"run"|"each" for "each" the result is the index of the shard to read; where strict, the
---  four values of the loop in an array
---@param why "refused"|"nothing"|"strict" the fence refused it; it met nothing; or it is to be read strictly
---@return boolean done, any result
function moved.run(state, db, method, key, sql, params, index, why)
  if why == "strict" then return true, run_strict(state, db, method, key, sql, params, index) end
  if method == "each" then return true, where(state, db, key, sql, index) end
  if why == "nothing" then
    local space, text = core.key_of(db, key, sql)
    local sealed, own = look_at(state, db, index, select(2, catalog.untag(space)), text)
    -- Even where the key is here now: it may have come back since the statement looked.
    if not sealed and not own then return false end
  end
  return true, run_at_owner(state, db, method, key, sql, params, index)
end

-- Statements in a batch that fail where the key has left the shard. Where there is no table of own rows, none has.
local HERE <const> = "SELECT json_extract('{}', CASE WHEN EXISTS (%s) THEN 'collegedb:moved' ELSE '$' END) AS here"
local BY_OWN_ROW <const> = HERE:format("SELECT 1 FROM _collegedb_own WHERE keyspace = ?1 AND key = ?2 AND "
  .. "state NOT IN ('active', 'sending')")
local BY_NO_TABLE <const> = HERE:format "SELECT 1 FROM sqlite_schema WHERE name = '_collegedb_own'"

local has_own_rows = setmetatable({}, { __mode = "k" }) -- by shard, as it was last

--- Runs a batch on a shard that has no transactions, where the key has not left it: `send(look)` sends it with the
-- statements `look` before.
---@param shard userdata
---@param look fun(tx?): string, string as moved.transaction gives it; without tx: keyspace and text of the key
---@param send fun(look: table): any
function moved.guarded_batch(shard, look, send)
  local keyspace, text = look()
  local err = LEFT
  for _ = 1, 3 do
    local own = has_own_rows[shard]
    local done, result = pcall(send, own and { { BY_OWN_ROW, { keyspace, text } } } or { { BY_NO_TABLE } })
    if done then return result end
    local without = errors.is_error(result, "SQL") and result.message:find("no such table: _collegedb_own", 1, true)
    local refused = errors.is_error(result, "MOVED")
    if not (refused or without) then error(result, 0) end
    if refused and own then
      if not is_here(fence.own_row(shard, keyspace, text)) then error(LEFT, 0) end
      err = result -- the key came back, or it is another key that the statements write, and which has left
    else
      has_own_rows[shard] = not own
    end
  end
  error(err, 0)
end

--- Runs a transaction on the shard that has the key when it begins.
---@param sql string? of a batch: the first statement, which types the key
---@param run fun(shard: userdata, hash: string, guard: fun(tx)) begins with guard(tx), and passes on what that raises
function moved.transaction(db, key, sql, insert, run)
  local state = core.state(db)
  local shard, hash, index = core.route(db, key, sql, insert)
  local space, text = core.key_of(db, key, sql)
  local keyspace = select(2, catalog.untag(space))
  local look, waiting, left = guard(keyspace, text), new_patience(state), nil
  -- What refuses a batch, whose look is its own, says so before anything is done.
  if not core.has_batches(shard) and seals.is_sealed(state.shards[index]) then
    index = place(state, db, key, sql, insert and "insert" or "update", space, text)
    shard = state.shards[index].handle
  end
  repeat
    local results = table.pack(pcall(run, shard, hash, look))
    if results[1] and left then see_cleared(state, left, keyspace, text) end
    if results[1] then return table.unpack(results, 2, results.n) end
    local held = false
    if errors.is_error(results[2], "MOVED") then
      -- A batch may be run again, and waits for its key as a single write does; if it is not another one that is held.
      held = sql and (not left or is_under_way(state, index, keyspace, text, true, waiting))
      core.forget(db, space, text)
      recovery.settle(state, index, keyspace, text)
    end
    local again = results[2] == LEFT or held
      or errors.is_error(results[2], "MOVED") and core.has_batches(shard) and seals.is_sealed(state.shards[index])
    if not again then error(results[2], 0) end
    left = left or index
    index = place(state, db, key, sql, insert and "insert" or "update", space, text)
    shard = state.shards[index].handle
  until not waiting:wait()
  recovery.raise_moving(state, state.shards[index], text)
end

return moved
