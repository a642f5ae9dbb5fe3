--- The doctor's look at what is reached over the net: does each answer, how fast, and does it take the token. What is
-- asked changes nothing, and ends in time. No token is ever told.

local config = require "collegedb.config"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local look = require "collegedb.look"

local doctor_services = {}

local SECONDS <const> = 10
local WAIT <const> = "wait for some minutes; ask through a gateway, which has no such limit (docs/cloudflare.md)"

local MENDS <const> = {
  AUTH = "put a valid token into the environment (CLOUDFLARE_API_TOKEN, or COLLEGEDB_GATEWAY_TOKEN for a gateway), one "
    .. "that may read and write this database",
  READONLY = "give it a token that may write: docs/cloudflare.md",
  CONFIG = "set the token in the environment: CLOUDFLARE_API_TOKEN, or COLLEGEDB_GATEWAY_TOKEN for a gateway",
  RATE_LIMITED = WAIT, BUSY = WAIT,
  UNSUPPORTED = "apt-get install libcurl4",
}

local function mend_of(err)
  if err.http_status == 404 then return "see that its name is right, and that the service has it" end
  return MENDS[err.code] or "see that its address and name are right, and that it answers from this machine"
end

local function check_shard(add, each)
  local remote = each.shard.value.remote
  if not remote then return end
  if each.error then return add(each.shard.name, "fault", each.error.message, mend_of(each.error)) end
  if not each.latency then return end
  add(each.shard.name, "ok", ("%s answers in %.0f ms"):format(tostring(remote), each.latency))
  if remote.may_write and remote:may_write(SECONDS) == false then
    add(each.shard.name, "fault", "its token may only read", MENDS.READONLY)
  end
end

local function check_directory(add, seen, kv)
  if not config.is_shard_value(kv) then return end
  for _, problem in ipairs(seen.problems) do
    local err = problem.about == "directory" and problem.error
    local unsuited = err and (err.field == "kv" or err.field == "mapping_secret" or err.field == "keyspaces")
    if unsuited then return end -- it answers; the rest is told where the directory is looked at
    if err then return add("directory", "fault", err.message, mend_of(err)) end
  end
  local began = core.now()
  if not seen.directory then return add("directory", "ok", ("%s answers; there is no directory yet"):format(
    tostring(kv))) end
  local _, err = look.tried(seen.directory.epoch, seen.directory)
  if err then return add("directory", "fault", err.message, mend_of(err)) end
  add("directory", "ok", ("%s answers in %.0f ms"):format(tostring(kv), core.now() - began))
end

-- Turns beside another directory.
local function check_coordinator(add, outer)
  if not outer or type(outer.peek) ~= "function" then return end
  local began = core.now()
  local done, answer = pcall(outer.peek, "default")
  if done then return add("coordinator", "ok", ("it answers in %.0f ms"):format(core.now() - began)) end
  if errors.is_interrupt(answer) then error(answer, 0) end
  local is_ours = errors.is_error(answer)
  add("coordinator", "fault", is_ours and answer.message or tostring(answer), is_ours and mend_of(answer)
    or "correct what the config gives as coordinator")
end

local function check_published(add, kv)
  if not kv then return end
  local began = core.now()
  local _, err = look.tried(kv.get, kv, "known_shards", SECONDS)
  if err then
    return add("publish", "fault", err.message, err.code == "AUTH" and MENDS.AUTH
      or "until it answers, keys without an entry can not be looked for")
  end
  add("publish", "ok", ("entries are published to %s, which answers in %.0f ms"):format(tostring(kv),
    core.now() - began))
  if kv:may_write(SECONDS) == false then add("publish", "fault", "its token may only read", MENDS.READONLY) end
end

--- Asks every service that the config names.
---@param add fun(about: string, state: string, what: string, mend: string?)
---@param settings table a normalized config
---@param seen collegedb.Look
function doctor_services.check(add, settings, seen)
  check_directory(add, seen, settings.kv)
  for _, each in ipairs(seen.shards) do check_shard(add, each) end
  check_coordinator(add, settings.coordinator)
  check_published(add, settings.publish)
end

return doctor_services
