-- Any table as a config (lua/collegedb/config.lua), and as the fields of a service: it is taken, or refused by an
-- error of CollegeDB's with the code CONFIG. One that is taken is opened, with all of its files in memory.

local collegedb = require "collegedb"
local config = require "collegedb.config"
local core = require "collegedb.core"
local decode = require "spec.fuzz.decode"
local errors = require "collegedb.errors"
local net = require "collegedb.net"

core.pause = function() end
net.perform = function() error "a request" end

local gateway = collegedb.gateway { url = "https://gateway.example", token = "t" }

local function table_kv(atomic)
  local data = {}
  local kv = { get = function(key) return data[key] end, put = function(key, value) data[key] = value end,
    delete = function(key) data[key] = nil end, list = function(prefix)
      local names = {}
      for name in pairs(data) do
        if name:sub(1, #prefix) == prefix then names[#names + 1] = name end
      end
      return names
    end }
  if atomic then
    function kv.compare_and_set(key, old, new)
      if data[key] ~= old then return false end
      data[key] = new
      return true
    end
  end
  return kv
end

local function nothing() end

local function constants()
  local list = { decode.NIL, true, false, 0, 1, -1, 2, 0.5, 1.0, 30, 1e6, 1e300, -1e300, 1 / 0, 0 / 0, 2 ^ 53,
    math.maxinteger, math.mininteger, "", "a", "b", "c", "memory:", ":memory:", "hash", "round-robin", "random",
    "location",
    "default", "full", "sparse", "background", "strict", "cached", "wal", "off", "normal", "weur", "WNAM", "d1",
    "a\0b", "a\nb", "\xff", ("x"):rep(200), nothing, function() return "a" end,
    table_kv(true), table_kv(false), collegedb.sqlite ":memory:", collegedb.null, collegedb.blob "x", io.stdout,
    coroutine.create(nothing), gateway, gateway:shard "DB", gateway:coordinator(), gateway:kv "KV",
    collegedb.d1 { account = "a", database = "b", token = "t" },
    collegedb.cloudflare_kv { account = "a", namespace = "b", token = "t" }, { select = nothing }, { open = nothing },
    { turn = nothing }, { region = "weur", priority = 1 }, "https://gateway.example", "http://127.0.0.1:1", "token",
    "read", "write" }
  for name in ([[strategy rules script_dirs script_limit auto_migrate directory mapping_secret mapping_cache_ttl
    mapping_cache_size check_keys max_database_size target_region shard_locations on_event kv shards hash_shard_mappings
    keyspaces move_deadline forward_retention consistency publish coordinator statistics_dir slow_query slow_query_log
    name region max_size priority weight allocate integrate external_writers keyspace journal_mode synchronous
    busy_timeout mmap_size cache_size limits account database namespace token endpoint ca_file deadline url
    get put delete list compare_and_set open id turn peek select entries]]):gmatch "%S+" do
    list[#list + 1] = name
  end
  return list
end

local function refused(err, code)
  if not errors.is_error(err, code) then
    error(("%s instead of an error %s"):format(type(err) == "table" and tostring(err) or err, code or "with a code"))
  end
  assert(type(err.message) == "string" and err.message ~= "" and type(tostring(err)) == "string")
end

local function is_far(value)
  return type(value) == "table" and not config.is_table_kv(value) or type(value) == "userdata"
end

-- Nothing is to reach for a file, or for the network.
local function tamed(given)
  local copy = {}
  for field, value in pairs(given) do copy[field] = value end
  if is_far(copy.kv) or copy.publish or copy.coordinator then return nil end
  if type(copy.kv) == "string" then copy.kv = "memory:" end
  copy.script_dirs, copy.statistics_dir, copy.slow_query, copy.slow_query_log = nil, nil, nil, nil
  local shards = {}
  for key, shard in pairs(copy.shards) do
    local new = {}
    for field, value in pairs(type(shard) == "table" and shard or { shard }) do new[field] = value end
    if type(new[1]) == "string" then new[1] = ":memory:" else return nil end
    shards[key] = new
  end
  copy.shards = shards
  return copy
end

local function try_open(given)
  local copy = tamed(given)
  if not copy then return end
  local done, db = pcall(collegedb.open, copy)
  if not done then return refused(db) end
  local worked, err = pcall(function()
    db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)"
    db:insert("k", "INSERT INTO users VALUES (?)", { "k" })
    db:locate "k"
    db:get_shard_stats()
    db:metrics()
  end)
  if not worked then refused(err) end
  db:close()
end

local services = { collegedb.d1, collegedb.gateway, collegedb.cloudflare_kv, config.kv,
  function(value) return config.shard(value) end, function(value) return config.shard_value("f", value) end }

return function(text)
  local how, value = text:byte() or 0, decode.value(constants(), text:sub(2))
  local service = services[how % 16 - 9]
  if service then
    local done, err = pcall(service, value)
    if not done then refused(err, "CONFIG") end
    return
  end
  local done, normal = pcall(config.normalize, value)
  if not done then return refused(normal, "CONFIG") end
  try_open(value)
end
