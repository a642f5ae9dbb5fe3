-- The kinds of shards there are, so that one and the same spec runs on each of them.
--
--     for _, kind in ipairs(kinds) do
--       describe("… on " .. kind.name, function()
--         if kinds.skip(kind, it, function(why) pending(why) end) then return end
--         setup(kind.start) teardown(kind.stop)
--         before_each(fixture.start) after_each(fixture.stop)
--         it("…", function() local shard = kinds.open(kind):shard "a" … end)

local collegedb = require "collegedb"
local core = require "collegedb.core"
local engine = require "spec.support.engine"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local net = require "collegedb.net"

---@class spec.Kind
---@field name string
---@field borrowed boolean? its value is a handle, which stays open when the database is closed
---@field single boolean? it has no transaction over several statements
---@field batches boolean? single, but it has batches
---@field rest boolean? it is D1's REST interface: what that does otherwise is asked for in the specs by this
---@field fields table? further fields of its shard table
---@field limited boolean? it refuses what D1 refuses by its size
---@field missing fun(): string? why it is not there
---@field start fun() before the first test of a file
---@field stop fun() after the last one
---@field value fun(name: string): any a shard value of an empty database of this test's own

local kinds = {}

local function nothing() end

-- --- files -----------------------------------------------------------------------------

kinds[1] = { name = "a SQLite file", start = nothing, stop = nothing, missing = nothing,
  value = function(name) return fixture.path(name .. ".db") end }

-- A file that refuses transactions over several statements, as D1 does.
kinds[2] = { name = "a file of single statements", single = true, borrowed = true, start = nothing,
  stop = nothing, missing = nothing,
  value = function(name)
    local handle = core.sqlite(fixture.path(name .. ".db"), { name = name, single = true })
    fixture.track { close = function() core.close(handle) end }
    return handle
  end }

-- A file that refuses what D1 would.
kinds[3] = { name = "a file with D1's limits", fields = { limits = "d1" }, limited = true, start = nothing,
  stop = nothing, missing = nothing, value = kinds[1].value }

-- --- Cloudflare's engine -----------------------------------------------------------------

local DATABASES <const> = 250 -- they are made when they are used first
local endpoint, names, used

local rest = { name = "D1 over REST", single = true, rest = true, limited = true }
kinds[4], kinds.rest = rest, rest

function rest.missing()
  local value = collegedb.d1 { database = "x", endpoint = "http://127.0.0.1:1" }
  local taken, why = pcall(require("collegedb.config").shard_value, "shard", value)
  return engine.missing() or (not taken and tostring(why) or nil)
end

function rest.start()
  endpoint, names = engine.start(DATABASES)
  used = 0
end

function rest.stop()
  net.close()
  engine.stop()
end

function rest.value()
  used = used + 1
  return collegedb.d1 { database = assert(names[used], "no database is left"), endpoint = endpoint, deadline = 20 }
end

-- --- the gateway Worker on it ---------------------------------------------------------------

local GATEWAY_DATABASES <const> = 150
local worker = { name = "D1 behind the gateway", single = true, batches = true, limited = true }
kinds[5], kinds.gateway = worker, worker
local running, bindings

function worker.missing() return rest.missing() end

function worker.start()
  bindings = {}
  for i = 1, GATEWAY_DATABASES do bindings[i] = "DB_" .. i end
  running, used = gateway.start { databases = bindings }, 0
end

function worker.stop()
  net.close()
  running.stop()
end

function worker.value()
  used = used + 1
  local at = collegedb.gateway { url = running.url, token = gateway.token, deadline = 20 }
  return at:shard((assert(bindings[used], "no database is left")))
end

-- --- all of them -------------------------------------------------------------------------

---Where the kind can not be tried here, a test says so.
---@param it function busted's
---@param pending function calls busted's of that name, which means another thing inside a test than around it
---@return boolean # is it left out?
function kinds.skip(kind, it, pending)
  local missing = kind.missing()
  if missing then
    it("runs", function()
      assert(not os.getenv "CI", missing)
      pending(missing)
    end)
  end
  return missing ~= nil
end

---@return table # a shard table of a config: a new shard of the kind
function kinds.entry(kind, name)
  local entry = { name = name, kind.value(name) }
  for field, value in pairs(kind.fields or {}) do entry[field] = value end
  return entry
end

---Opens a database with the shards a and b (or of the names given), each a new one of this kind. It is closed after
---the test.
---@param kind spec.Kind
---@param extra table? further fields of the config
---@param shard_names string[]?
function kinds.open(kind, extra, shard_names)
  local config = { kv = "memory:", auto_migrate = true, shards = {} }
  for field, value in pairs(extra or {}) do config[field] = value end
  for i, name in ipairs(shard_names or { "a", "b" }) do config.shards[i] = kinds.entry(kind, name) end
  return fixture.open(config)
end

return kinds
