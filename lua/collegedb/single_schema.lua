--- Scripts of the schema on shards without transactions over several statements: one statement after another. What was
-- done when one of them fails stays, and the error says so.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local patience = require "collegedb.patience"
local procedures = require "collegedb.procedures"
local single_fence = require "collegedb.single_fence"

local single_schema = {}

local PATIENCE <const> = 10 -- seconds

--- Did a statement fail since what it makes is there already?
function single_schema.is_there(err)
  return errors.is_error(err, "SQL") and (err.message:find "already exists" or err.message:find "duplicate column")
end

-- A definition whose answer was lost is asked for again: that it is there already is the answer then.
local function define(shard, sql)
  local done, err = pcall(shard.handle.exec, shard.handle, sql)
  if done or not errors.is_error(err, "OUTCOME_UNKNOWN") then return done, err end
  done, err = pcall(procedures.sure, shard, "exec", sql)
  local dropped = errors.is_error(err, "SQL") and err.message:find "no such"
  return done or single_schema.is_there(err) or dropped, err
end

local function run_one(shard, sql, kind)
  if kind == "schema" then return define(shard, sql) end
  return pcall(shard.handle.exec, shard.handle, sql)
end

local function fail(err, count)
  if errors.is_error(err) and count > 0 then
    err.message = ("%s (the %d statements of the script before this one were done, and stay)"):format(err.message,
      count)
  end
  error(err, 0)
end

--- Runs a script.
---@param missing boolean? what is there already is passed over
---@param mend fun()? takes a fence down that is around a table which is not there, and in the way
function single_schema.apply(shard, sql, missing, mend)
  local count = 0
  while sql:find "%S" do
    local statement = core.scan(sql)
    local done, err = run_one(shard, sql:sub(1, statement.finish), statement.kind)
    if mend and not done and fence.is_in_the_way(err) then
      mend()
      done, err = run_one(shard, sql:sub(1, statement.finish), statement.kind)
    end
    if not done and not (missing and single_schema.is_there(err)) then fail(err, count) end
    count, sql = count + 1, sql:sub(statement.finish + 1)
  end
end

-- Again while keys of the tables are on their way, which are as they were until they have arrived.
local function hold(state, index, keyspace)
  local waiting = patience.new(PATIENCE)
  while true do
    local done, err = pcall(single_fence.hold, state, index, keyspace, true)
    if done or errors.is_error(err, "UNSUPPORTED") then return end
    if not errors.is_error(err, "CONFLICT") or not waiting:wait() then error(err, 0) end
  end
end

--- New tables get behind the fence together with the others, where there is one. One that can not be fenced stays
-- outside.
function single_schema.fence_tables(state, index)
  local inner = state.shards[index].inner
  local fenced = fence.reading(inner.all, inner, "SELECT keyspace FROM _collegedb_fence") or {}
  if #fenced > 0 then state:refresh_catalog() end
  for _, row in ipairs(fenced) do hold(state, index, row.keyspace) end
end

return single_schema
