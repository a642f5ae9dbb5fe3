--- Carries a plan out: moves its groups in batches that one commit of each step serves. A batch grows while it is quick
-- and shrinks while it is slow, since a write to one of its keys waits for all of it. One that is refused is
-- halved, until the keys are found that can not be moved.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local move = require "collegedb.workflows.move"
local move_wait = require "collegedb.move_wait"
local patience = require "collegedb.patience"
local probe = require "collegedb.probe"

local move_batches = {}

local FIRST <const>, MOST <const> = 64, 4096 -- groups in a batch
local AIM <const>, FAR <const> = 100, 3000 -- ms that a batch takes; one of a far shard, mostly waiting for answers
local SHOWN <const> = 1000 -- failures that are listed; the count is exact
local PATIENCE <const> = 10 -- seconds that a batch which others hold up is tried again

-- What is the matter with one key, or a few; anything else is with all of them.
local of_a_key = { CONFLICT = true, CONSTRAINT = true, TOO_LARGE = true, MAPPING_NOT_FOUND = true }

local VOID <const> = {} -- the plan is of a placement that is not the newest any more

-- May what was refused be done later? A move that is in the way is waited for, once.
local function is_for_now(state, batch, err)
  if not errors.is_error(err) then return false end
  if err.code == "BUSY" or err.code == "MOVED" then return true end
  local number, awaited = err.code == "CONFLICT" and err.move, batch.awaited
  if not number or awaited[number] then return false end
  awaited[number] = true
  return move_wait.run(state, number, batch.on_wait)
end

local function move_keys(state, batch, keys)
  local tag, keyspace = catalog.untag(batch.space)
  local waiting, placement = patience.new(PATIENCE), state.epoch.placement
  while true do
    if state.epoch.placement ~= placement then error(VOID, 0) end
    -- Who takes the shard's keys over may have read them before they go: an entry keeps him from writing a wrong one.
    local home = batch.home and not state.epoch.awaits[batch.source]
    local done, answer = pcall(move.run, state, { keyspace = keyspace, tag = tag, keys = keys, source = batch.source,
      target = batch.target, home = home })
    if done then return answer end
    if not is_for_now(state, batch, answer) or not waiting:wait() then return nil, answer end
    state:read_epoch()
  end
end

local function note_failure(report, state, batch, keys, err)
  local keyspace = select(2, catalog.untag(batch.space))
  for _, text in ipairs(keys) do
    report.failed_count = report.failed_count + 1
    if report.failed_count <= SHOWN then
      report.failed[report.failed_count] = { key = catalog.key_value(keyspace, text), code = err.code,
        message = err.message, from = state.shards[batch.source].name, to = state.shards[batch.target].name }
    end
  end
end

-- Has the key left its shard by itself since the plan? Then there is nothing to move, whatever is in the way.
local function has_gone(state, batch, text, err)
  if err.code ~= "CONFLICT" then return err.code == "MAPPING_NOT_FOUND" end
  local tag, keyspace = catalog.untag(batch.space)
  return not probe.has_rows(state, batch.source, tag, keyspace, text)
end

-- Moves what can be moved of the keys; what can not is noted.
local function move_some(state, batch, keys, report)
  local moved, err = move_keys(state, batch, keys)
  if moved then
    report.moved, report.rows = report.moved + moved.keys, report.rows + moved.rows
    return
  end
  if not errors.is_error(err) then error(err, 0) end
  if #keys == 1 and has_gone(state, batch, keys[1], err) then return end
  if #keys == 1 or not of_a_key[err.code] then return note_failure(report, state, batch, keys, err) end
  local half = #keys // 2
  move_some(state, batch, table.move(keys, 1, half, 1, {}), report)
  move_some(state, batch, table.move(keys, half + 1, #keys, 1, {}), report)
end

local function next_size(size, took, aim)
  if took > 2 * aim then return math.max(size // 2, 1) end
  if took < aim / 2 then return math.min(size * 2, MOST) end
  return size
end

-- A write to a key of the batch waits for all of it, and no longer than move_deadline.
local function aim_of(state, batch)
  local far = state.shards[batch.source].single or state.shards[batch.target].single
  return far and math.max(AIM, math.min(FAR, state.config.move_deadline * 250)) or AIM
end

-- Waits until so many groups may have been moved since the start; not in one piece, so that a signal is heeded.
local function keep_rate(rate, moved, start)
  if not rate then return end
  while core.now() - start < moved * 1000 / rate do
    core.pause(math.min(100, math.max(1, math.ceil(moved * 1000 / rate - (core.now() - start)))))
  end
end

--- Moves what a plan says.
---@param state table of lua/collegedb/state.lua
---@param plan collegedb.MovePlan
---@param report { moved: integer, rows: integer, failed_count: integer, failed: table[] } is added to
---@param opts { rate: number?, on_batch: fun(done: integer)?, on_wait: fun(done: integer, seconds: integer)? } rate in
--- groups a second; on_batch may raise to stop, and on_wait, which is told how long a move of others may take
---@return boolean done false: the shards were changed meanwhile, and the rest of the plan is void
function move_batches.run(state, plan, report, opts)
  local size, start, done, awaited = FIRST, core.now(), 0, {}
  local function on_wait(seconds)
    if opts.on_wait then opts.on_wait(done, seconds) end
  end
  while true do
    local limit = opts.rate and math.max(1, math.ceil(opts.rate / 10)) or MOST
    local batch = plan:take(math.min(size, limit))
    if not batch then return true end
    batch.awaited, batch.on_wait = awaited, on_wait
    local began = core.now()
    local moved, err = pcall(move_some, state, batch, batch.keys, report)
    if err == VOID then return false end
    if not moved then error(err, 0) end
    plan:drop(batch)
    done = done + #batch.keys
    if #batch.keys >= size then size = next_size(size, core.now() - began, aim_of(state, batch)) end
    if opts.on_batch then opts.on_batch(done) end
    keep_rate(opts.rate, done, start)
  end
end

return move_batches
