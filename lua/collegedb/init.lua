--- CollegeDB: one database out of many, routed by key.
--
--     local collegedb = require "collegedb"
--     local db <close> = collegedb.open { kv = "directory.db", shards = { … } }
--
-- This file only gathers what the modules behind it offer.

local config = require "collegedb.config"
local core = require "collegedb.core"
local database = require "collegedb.database"
local errors = require "collegedb.errors"
local instance = require "collegedb.instance"

local collegedb = {
  _VERSION = core.version,
  version = core.version,
  null = core.null,
  blob = core.blob,
  sqlite = config.sqlite,
  open = instance.open,
  is_error = errors.is_error,
}

-- Loaded at the first use of one of their names.
local lazy = { KVShardMapper = "collegedb.mapper", d1 = "collegedb.d1", gateway = "collegedb.gateway",
  cloudflare_kv = "collegedb.cloudflare_kv" }
for name in ([[list_tables validate_table_for_sharding discover_existing_primary_keys each_existing_primary_key
  integrate_existing_database create_mappings_for_existing_keys auto_detect_and_migrate check_migration_needed
  clear_migration_cache]]):gmatch "%S+" do
  lazy[name] = "collegedb.existing"
end

local default

--- Opens a database and makes it the default: its methods are then functions of this module.
function collegedb.initialize(given)
  default = instance.open(given)
  return default
end

-- collegedb.first(key, sql) is default:first(key, sql), for every method of a database.
return setmetatable(collegedb, {
  __index = function(_, name)
    if lazy[name] then
      collegedb[name] = require(lazy[name])[name]
      return collegedb[name]
    end
    local method = database[name]
    if not method then return nil end
    local function call(...)
      if not default then
        errors.raise("USAGE", nil, "collegedb.%s needs collegedb.initialize(config) first", name)
      end
      return method(default, ...)
    end
    collegedb[name] = call
    return call
  end,
})
