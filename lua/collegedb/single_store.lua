--- A shard without transactions over several statements, such as a D1 database, as a directory uses it: each statement
-- is sent again when its answer was lost, or when there was too much to do. So only such statements may go through it
-- as do no harm, and tell the same, when they were done before.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local patience = require "collegedb.patience"

local single_store = {}

local PATIENCE <const>, FIRST <const> = 10, 20 -- seconds; ms
local MOST <const> = 1000000                   -- bytes of what one change may have to say

---@class collegedb.SingleStore
---@field shard userdata
---@field name string its
local Store = {}
Store.__index = Store

---@param shard userdata with core.is_single
---@return collegedb.SingleStore
function single_store.new(shard) return setmetatable({ shard = shard, name = core.shard_name(shard) }, Store) end

local function is_open(err) return errors.is_error(err, "OUTCOME_UNKNOWN") or errors.is_error(err, "BUSY") end

local function repeated(self, method, sql, params)
  local waiting
  if self.closed then errors.raise("CLOSED", nil, "the directory %s was closed", self.name) end
  while true do
    local done, answer = pcall(self.shard[method], self.shard, sql, params)
    if done then return answer end
    waiting = waiting or patience.new(PATIENCE, FIRST)
    if not is_open(answer) or not waiting:wait() then error(answer, 0) end
  end
end

function Store:run(sql, params) return repeated(self, "run", sql, params) end
function Store:first(sql, params) return repeated(self, "first", sql, params) end
function Store:all(sql, params) return repeated(self, "all", sql, params) end

--- Nothing goes through it from now on; the shard may be another's too.
function Store:close() self.closed = true end

--- All rows are asked for at once: so each is one request.
function Store:each(sql, params)
  local rows, i = self:all(sql, params), 0
  return function()
    i = i + 1
    return rows[i]
  end
end

-- --- the procedure of lua/collegedb/single_tables.lua ------------------------------------------

local words <const> = { "done", "stale", "epoch", "lapsed", "claim", "raced" }

local function word_of(err)
  if not errors.is_error(err, "CONSTRAINT") then return nil end
  for _, word in ipairs(words) do
    if err.message:find("collegedb:" .. word, 1, true) then return word end
  end
end

local function null(value) return value == nil and core.null or value end

local MAKE <const> = "INSERT INTO _collegedb_change (id, version, epoch, user, alone, claim, what, digests, keys, "
  .. "last, stop, mark) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"

--- Has the procedure make a change. It is made once, however often it has to be sent.
---@param change { id: string?, version: integer?, epoch: integer?, user: string?, alone: integer?, claim: integer?,
--- what: table, digests: string?, keys: string?, last: any, stop: any, mark: any }
---@return boolean done, string? why not: the procedure's word
function Store:change(change)
  local what = json.encode(json.object(change.what))
  if #what + 2 * #(change.digests or "") + 2 * #(change.keys or "") > MOST then
    errors.raise("TOO_LARGE", nil, "a change of the directory %s would be larger than %d bytes: change fewer keys "
      .. "at once", self.name, MOST)
  end
  local done, err = pcall(self.run, self, MAKE,
    { null(change.id), null(change.version), null(change.epoch), null(change.user), null(change.alone),
      null(change.claim), what, core.blob(change.digests or ""), core.blob(change.keys or ""), null(change.last),
      null(change.stop), null(change.mark) })
  local word = not done and word_of(err)
  if done or word == "done" then return true end
  if not word then error(err, 0) end
  return false, word
end

--- A name for a change, which no other one has.
function single_store.name() return ("%016x%016x"):format(core.random(), core.random()) end

--- How many entries a change has touched.
---@param id string its name
---@return integer
function Store:count_of(id)
  local row = self:first("SELECT count FROM _collegedb_changes WHERE id = ?", { id })
  return row and row.count or 0
end

--- "[0,1,…]" with n items: by it SQL counts.
function single_store.numbers(n)
  local list = {}
  for i = 1, n do list[i] = i - 1 end
  return "[" .. table.concat(list, ",") .. "]"
end

return single_store
